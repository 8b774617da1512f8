"""What is wrong with a set of photos: unreadable files, duplicates, leaks between splits."""

from flowerlib.audit.checking import check
from flowerlib.audit.leakage import leaks
from flowerlib.audit.manifest import Changes, load_manifest, save_manifest
from flowerlib.audit.report import Copies, Report

__all__ = ["Changes", "Copies", "Report", "check", "leaks", "load_manifest", "save_manifest"]
