"""Where the repository is published, as far as this copy knows."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path


def repository_of(folder: Path) -> str:
    """The GitHub page that a folder was cloned from, or "" for any other or no origin."""
    command = ["git", "remote", "get-url", "origin"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return github_page(done.stdout.strip())


def github_page(origin: str) -> str:
    """https://github.com/NAME/REPOSITORY for any way of writing it, or ""."""
    pattern = (
        r"(?:https://(?:[^@/]+@)?|ssh://git@|git@)github\.com[:/]([\w.-]+/[\w.-]+?)(?:\.git)?/?"
    )
    found = re.fullmatch(pattern, origin)
    return f"https://github.com/{found[1]}" if found else ""


def launch_links(repository: str, notebook: str) -> dict[str, str]:
    """Service → address that opens a notebook of the repository there."""
    name = repository.removeprefix("https://github.com/")
    return {
        "Colab": f"https://colab.research.google.com/github/{name}/blob/main/{notebook}",
        "Binder": f"https://mybinder.org/v2/gh/{name}/main?urlpath=lab/tree/{notebook}",
        "Codespaces": f"https://codespaces.new/{name}",
    }
