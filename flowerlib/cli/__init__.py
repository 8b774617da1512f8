"""The command line."""

from flowerlib.cli.commands import WAITING, command, main, parser, settle

__all__ = [
    "WAITING",
    "command",
    "main",
    "parser",
    "settle",
]
