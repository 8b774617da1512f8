"""Links between the project's own pages lead somewhere, on the site and between the files."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")


def texts() -> list[Path]:
    """Every page of the project, and every lesson and solution."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "data" / "README.md"]
    return [*pages, *(ROOT / "notebooks").rglob("*.md"), *(ROOT / "notebooks").rglob("[0-9]*.py")]


def headings(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    found = re.findall(r"^(?:# )?#{1,6} (.+)$", text, re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower().strip()) for heading in found)
    return {heading.replace(" ", "-") for heading in plain}


def dead_links(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    code = r"^```.*?^```" if path.suffix == ".md" else r"^(?!#).*$"
    prose = re.sub(code, "", text, flags=re.MULTILINE | re.DOTALL if path.suffix == ".md" else re.M)
    dead = []
    for found in LINK.finditer(prose):
        link = found[1] or found[2]
        if re.match(r"[a-z]+:", link):
            continue
        place, _, anchor = link.partition("#")
        target = (path.parent / place).resolve() if place else path
        if not target.exists():
            dead.append(link)
        elif anchor and target.suffix == ".md":
            if anchor not in headings(target.read_text(encoding="utf-8")):
                dead.append(link)
    return dead


@pytest.mark.parametrize("path", texts(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path):
    assert dead_links(path) == []


def test_a_dead_link_is_found(tmp_path):
    (tmp_path / "b.md").write_text("# One two?\n\n## `Three`, four\n")
    page = tmp_path / "a.md"
    page.write_text(
        "[a](b.md) [b](b.md#one-two) [c](b.md#three-four) [d](c.md) [e](b.md#two) [f](https://x.y)\n"
        "```\n[g](d.md)\n```\n![h](e.png)\n"
    )
    assert dead_links(page) == ["c.md", "b.md#two", "e.png"]


def test_options_that_pages_name_exist(capsys):
    from flowerlib import cli

    known = {"--nbval", "--nbval-sanitize-with"}  # of pytest
    for command in ("train", "predict", "evaluate", "check", "import-old", "garden"):
        with pytest.raises(SystemExit):
            cli.parser().parse_args([command, "--help"])
        known |= set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))
    for page in (
        "README.md",
        "docs/index.md",
        "docs/own_photos.md",
        "docs/comparison.md",
        "docs/results.md",
        "docs/how_fast.md",
        "docs/teaching.md",
    ):
        text = (ROOT / page).read_text(encoding="utf-8")
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", re.sub(r"<!--.*?-->", "", text)))
        assert named <= known, page


def test_what_links_lead_to_is_part_of_the_project():
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a clone of the repository")
    assert "docs/reference/generated/" in (ROOT / ".gitignore").read_text(encoding="utf-8")
    assert not any("docs/reference/generated" in name for name in done.stdout.splitlines())
