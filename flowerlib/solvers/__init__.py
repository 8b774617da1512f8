"""Linear heads solved on cached features, with the penalty that is best on the validation set."""

from flowerlib.solvers.logistic_regression import PENALTIES, logistic
from flowerlib.solvers.ridge_regression import RIDGE_PENALTIES, ridge
from flowerlib.solvers.solution import LinearSolution

__all__ = ["PENALTIES", "RIDGE_PENALTIES", "LinearSolution", "logistic", "ridge"]
