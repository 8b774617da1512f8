"""`{command-help}`: what `flowerlib COMMAND --help` prints, for every command."""

from __future__ import annotations

import contextlib
import io
import os
import re
from unittest import mock

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


def help_of(*arguments: str) -> str:
    """The help text, 80 columns wide."""
    from flowerlib import cli

    printed = io.StringIO()
    wide = mock.patch.dict(os.environ, {"COLUMNS": "80", "NO_COLOR": "1"})
    with wide, contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        cli.parser().parse_args([*arguments, "--help"])
    return printed.getvalue().rstrip()


def commands() -> list[str]:
    """Names of all commands, in the order of `flowerlib --help`."""
    return re.findall(r"^    ([a-z][a-z-]*)\s", help_of(), re.MULTILINE)


class CommandHelp(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        lines = ["## All commands", "", "```text", help_of(), "```", ""]
        for name in commands():
            lines += [f"## flowerlib {name}", "", "```text", help_of(name), "```", ""]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
