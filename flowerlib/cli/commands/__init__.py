"""One module for each larger command; what they import at the top loads no torch."""

from flowerlib.cli.commands.check import check
from flowerlib.cli.commands.evaluate import evaluate
from flowerlib.cli.commands.others import doctor, download, garden, import_old
from flowerlib.cli.commands.predict import predict
from flowerlib.cli.commands.train import train

__all__ = ["check", "doctor", "download", "evaluate", "garden", "import_old", "predict", "train"]
