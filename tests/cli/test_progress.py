"""Progress where the output is no terminal."""

from __future__ import annotations

from flowerlib.cli.progress import Progress


def test_a_pass_is_one_line(capsys) -> None:
    with Progress("features") as progress:
        for done in (0, 5, 10):
            progress(done, 10)
        for done in (0, 3):
            progress(done, 3)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" in ")[0] for line in lines] == [
        "features: 10 photos",
        "features: 3 photos",
    ]


def test_quiet_says_nothing(capsys) -> None:
    with Progress(quiet=True) as progress:
        progress(10, 10)
    found = capsys.readouterr()
    assert (found.out, found.err) == ("", "")
