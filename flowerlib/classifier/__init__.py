"""Backbone, head, class names and preprocessing in one object that predicts, saves and loads."""

from flowerlib.classifier.answer_table import write_answers
from flowerlib.classifier.classifier import Classifier
from flowerlib.classifier.evaluation import Evaluation
from flowerlib.classifier.prediction import Prediction

__all__ = ["Classifier", "Evaluation", "Prediction", "write_answers"]
