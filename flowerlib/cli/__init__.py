"""The command line."""

from flowerlib.cli.entry import WAITING, command, main, settle
from flowerlib.cli.grammar import parser

__all__ = [
    "WAITING",
    "command",
    "main",
    "parser",
    "settle",
]
