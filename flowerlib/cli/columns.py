"""The options that name the columns of a table of photos."""

from __future__ import annotations

import argparse

ROLES = ("path", "label", "split", "group")


def add_to(command: argparse.ArgumentParser) -> None:
    """Adds --path-column and the like."""
    for role in ROLES:
        command.add_argument(
            f"--{role}-column", metavar="NAME", help=f"of a table: the column of the {role}"
        )


def named(options: argparse.Namespace) -> dict[str, str | None]:
    """The names of the columns that were given."""
    return {role: getattr(options, f"{role}_column") for role in ROLES}
