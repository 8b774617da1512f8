"""What is wrong with a set of photos: unreadable files, duplicates, leaks between splits."""

from flowerlib.audit.check import folder, leaks
from flowerlib.audit.report import Report

__all__ = ["Report", "folder", "leaks"]
