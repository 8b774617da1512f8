"""Output fits any code page, names stay in one line, and lost output is never called fine."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from flowerlib import cli
from flowerlib.cli import doctor, entry
from flowerlib.support import console
from flowerlib.support.errors import InputError

SMALL = ["--backbone", "small_densenet", "--weights", "small", "--preset", "quick"]


@pytest.fixture(scope="module")
def model(flower_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A classifier of the flower folder."""
    root = tmp_path_factory.mktemp("model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLOWERLIB_CACHE", str(root / "cache"))
        assert cli.main(["train", str(flower_folder), *SMALL, "--out", str(root / "out")]) == 0
    return str(root / "out" / "classifier.safetensors")


@pytest.fixture
def photo(flower_folder: Path) -> Path:
    return flower_folder / "test" / "rose" / "rose_11.jpg"


class Terminal(io.TextIOWrapper):
    """A standard output with a code page of its own, as strict as Python's."""

    def __init__(self, encoding: str, newline: str | None = None) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, errors="strict", newline=newline)

    def text(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode(self.encoding)


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "a · b → c ✓ Gänseblümchen 玫瑰"),
        ("cp1252", "a · b -> c ok Gänseblümchen \\u73ab\\u7470"),
        ("ascii", "a - b -> c ok G\\xe4nsebl\\xfcmchen \\u73ab\\u7470"),
    ],
)
def test_what_a_code_page_lacks_is_replaced_or_escaped(encoding: str, shown: str) -> None:
    assert console.encodable("a · b → c ✓ Gänseblümchen 玫瑰", encoding) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nb.jpg", "a\\nb.jpg"),
        ("a\r\x1b[2Jb\u2028c", "a\\r\\x1b[2Jb\\u2028c"),
        (os.fsdecode(b"b\xcf\xf0.jpg"), "b\\udccf\\udcf0.jpg"),
        ("\u3000玫瑰 \u200d🌹\\n", "\u3000玫瑰 \u200d🌹\\n"),
    ],
)
def test_a_name_is_shown_in_one_line(name: str, shown: str) -> None:
    assert console.one_line(name) == shown


@pytest.mark.parametrize("encoding", ["cp932", "ascii", "cp1252"])
def test_every_command_prints_in_every_code_page(
    model: str,
    flower_folder: Path,
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    encoding: str,
) -> None:
    monkeypatch.setenv("FLOWERLIB_CACHE", str(Path(model).parents[1] / "cache"))
    named = tmp_path / "玫瑰 Gänseblümchen.jpg"
    shutil.copy(photo, named)
    for command in (
        ["train", str(flower_folder), *SMALL, "--out", str(tmp_path / "out")],
        ["predict", str(named), "--model", model],
        ["predict", str(named), "--model", model, "--csv"],
        ["evaluate", str(flower_folder / "test"), "--model", model, "--table"],
        ["check", str(tmp_path)],
        ["doctor"],
    ):
        terminal = Terminal(encoding)
        monkeypatch.setattr(sys, "stdout", terminal)
        assert cli.main(command) in (0, 1), command
        assert terminal.text()


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are text there")
def test_names_of_files_that_are_no_text_are_escaped_and_come_back(
    model: str, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [os.fsdecode(b"b\xcf\xf0.jpg"), "x\nforged.jpg  rose  1.000  pass.jpg", "y\rz.jpg"]
    for name in names:
        shutil.copy(photo, tmp_path / name)
    paths = sorted(str(tmp_path / name) for name in names)

    def output(*form: str) -> str:
        terminal = Terminal("utf-8", newline="")
        monkeypatch.setattr(sys, "stdout", terminal)
        arguments = ["predict", *paths, "--model", model, "--top-k", "1"]
        assert cli.main([*arguments, *form]) == 0
        return terminal.text()

    assert len(output().splitlines()) == 2 * len(names)
    assert [answer["photo"] for answer in json.loads(output("--json"))] == paths
    rows = list(csv.DictReader(io.StringIO(output("--csv"), newline="")))
    come_back = [
        row["photo"].replace("\\udccf", "\udccf").replace("\\udcf0", "\udcf0") for row in rows
    ]
    assert come_back == paths


@pytest.mark.skipif(os.name != "posix", reason="names with line ends")
def test_a_name_with_a_line_end_forges_no_verdict(
    model: str, flower_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = tmp_path / "t"
    shutil.copytree(flower_folder / "test", folder)
    before = len(list(folder.rglob("*.jpg")))
    first = next((folder / "rose").iterdir())
    first.rename(first.with_name("x\nforged.jpg  rose  rose  1.000  pass.jpg"))
    assert cli.main(["evaluate", str(folder), "--model", model, "--table"]) == 0
    verdicts = [
        line for line in capsys.readouterr().out.splitlines() if line.endswith(("pass", "FAIL"))
    ]
    assert len(verdicts) == before
    cli.main(["check", str(folder)])
    assert not [line for line in capsys.readouterr().out.splitlines() if line.startswith("forged")]


def test_csv_has_the_line_ends_of_its_stream(
    model: str, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal("utf-8", newline="\r\n")  # as on Windows
    monkeypatch.setattr(sys, "stdout", terminal)
    assert cli.main(["predict", str(photo), "--model", model, "--csv"]) == 0
    assert "\r\n" in terminal.text() and "\r\r" not in terminal.text()
    terminal = Terminal("utf-8", newline="")
    monkeypatch.setattr(sys, "stdout", terminal)
    assert cli.main(["predict", str(photo), "--model", model, "--csv"]) == 0
    assert "\r" not in terminal.text()


class Full(io.RawIOBase):
    """A file on a full disk, or a pipe that nobody reads."""

    def __init__(self, problem: OSError) -> None:
        self.problem = problem

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        raise self.problem


@pytest.mark.parametrize(
    ("problem", "code", "sentence"),
    [
        (OSError(28, "No space left on device"), 2, "output cannot be written (No space left"),
        (BrokenPipeError(32, "Broken pipe"), 141, ""),
    ],
)
def test_output_that_is_lost_is_never_called_fine(
    model: str,
    photo: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    problem: OSError,
    code: int,
    sentence: str,
) -> None:
    stream = io.TextIOWrapper(io.BufferedWriter(Full(problem)))
    monkeypatch.setattr(sys, "stdout", stream)
    assert cli.main(["predict", str(photo), "--model", model, "--csv"]) == code
    monkeypatch.undo()
    assert sentence in capsys.readouterr().err
    with pytest.raises(OSError):  # or the stream would say so when it is collected
        stream.close()


def test_a_sentence_that_nobody_can_be_given_keeps_its_exit_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = io.TextIOWrapper(Full(OSError(28, "No space left on device")), write_through=True)
    monkeypatch.setattr(sys, "stderr", stream)
    assert cli.main(["predict", "none.jpg", "--model", "none"]) == 2
    monkeypatch.undo()


def test_a_closed_standard_output_is_refused_before_anything_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert cli.main(["doctor"]) == 2
    assert "standard output is closed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("problem", "ours"),
    [
        (ModuleNotFoundError("No module named 'safetensors'", name="safetensors"), False),
        (ImportError("libcudart.so.12: cannot open shared object file", name="torch._C"), False),
        (ImportError("cannot import name 'x' from 'flowerlib.data'", name="flowerlib.data"), True),
        (ModuleNotFoundError("No module named 'flowerlib.gone'", name="flowerlib.gone"), True),
        (RuntimeError("anything"), True),
    ],
)
def test_a_fault_of_the_program_is_no_missing_package(problem: Exception, ours: bool) -> None:
    assert doctor.is_broken_installation(problem) is not ours


@pytest.mark.parametrize(
    ("module", "cure"),
    [("PIL.Image", "pip install pillow."), ("_lzma", "install another Python")],
)
def test_the_cure_for_a_missing_module_can_be_followed(module: str, cure: str) -> None:
    problem = ModuleNotFoundError(f"No module named {module!r}", name=module)
    assert cure in doctor.import_problem(problem)


def test_a_tilde_that_no_shell_expanded_is_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    options = cli.parser().parse_args(
        ["train", "x", "--out", "~/run", "--weights", "~/w.safetensors"]
    )
    assert options.out == tmp_path / "run" and options.weights == str(tmp_path / "w.safetensors")
    with pytest.raises(SystemExit):
        cli.parser().parse_args(["train", "x", "--out", "~nobody-of-this-name/run"])
    assert "no such home folder" in capsys.readouterr().err


def test_python_dash_m_and_strict_warnings() -> None:
    command = [sys.executable, "-W", "error", "-O", "-m", "flowerlib", "--version"]
    found = subprocess.run(command, capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "") and found.stdout.startswith("flowerlib ")


def test_a_flush_that_fails_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BufferedWriter(Full(OSError(28, "No space left on device"))))
    monkeypatch.setattr(sys, "stdout", stream)
    console.say("text")
    with pytest.raises(InputError, match="cannot be written"):
        console.flush()
    monkeypatch.undo()
    with pytest.raises(OSError):
        stream.close()


def test_a_warning_is_a_line_for_the_user(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    for name, value in entry.WAITING.items():  # all that `settle` changes comes back
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    entry.settle()
    warnings.warn("No font has the sign.", stacklevel=1)
    assert capsys.readouterr().err == "note: No font has the sign.\n"
