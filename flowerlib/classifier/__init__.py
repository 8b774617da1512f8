"""Backbone, head, class names and preprocessing in one object that predicts, saves and loads."""

from flowerlib.classifier.classifier import Classifier, Prediction

__all__ = [
    "Classifier",
    "Prediction",
]
