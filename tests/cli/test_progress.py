"""Progress where the output is no terminal."""

from __future__ import annotations

import io

import pytest

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


def test_training_is_counted_in_epochs(capsys) -> None:
    with Progress("features") as progress:
        progress(12, 12)  # as many photos as two epochs have: another pass all the same
        for seen in (4, 6, 10, 12):
            progress.training(seen, 6, 2)
        progress(12, 12)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" in ")[0] for line in lines] == [
        "features: 12 photos",
        "training: 2 epochs, 12 photos seen",
        "features: 12 photos",
    ]


def test_the_bar_says_which_epoch_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with Progress("features") as progress:
        progress(0, 12)
        for seen in (4, 6, 10, 12):
            progress.training(seen, 6, 2)
    shown = terminal.getvalue()
    assert "features:   0%" in shown and "epoch 1 of 2" in shown and "epoch 2 of 2" in shown


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_quiet_says_nothing(capsys) -> None:
    with Progress(quiet=True) as progress:
        progress(10, 10)
    found = capsys.readouterr()
    assert (found.out, found.err) == ("", "")
