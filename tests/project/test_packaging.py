"""The two doors agree, the version is one, and nothing tracked names one machine's folders."""

from __future__ import annotations

import re
import subprocess
import sysconfig
import tomllib
from pathlib import Path

import pytest

import flowerlib

# What conda-forge calls differently.
CONDA_NAMES = {"pytorch": "torch"}
# The home and temporary folders of people and of the machines that this was written on.
MACHINE_PATH = re.compile(
    r"(?<![\w.:/~-])/(?:home|Users|root|tmp|work|mnt)/[\w.-]+|\b[A-Z]:\\Users"
)
# Which texts may name such folders: those that recognize them.
ALLOWED = {
    "tests/project/test_packaging.py",
    "tests/project/test_notebooks.py",
    "flowerlib/lesson/nbval_sanitize.cfg",
    "tools/notebook_checks.py",
}


def bounds(requirements: list[str]) -> dict[str, str]:
    """{"torch": ">=2.6"} from requirements without markers."""
    found = {}
    for text in requirements:
        name, bound = re.fullmatch(r"([A-Za-z0-9_.-]+)\s*(.*)", text).groups()
        found[CONDA_NAMES.get(name.lower(), name.lower())] = bound.replace(" ", "")
    return found


def conda_requirements(text: str) -> list[str]:
    """The entries below `dependencies:` of an environment file, also those for pip."""
    below = text.split("dependencies:", 1)[1]
    found = re.findall(r"^ +- ([^\s:#]+)\s*(?:#.*)?$", below, re.MULTILINE)
    return [entry for entry in found if not entry.startswith("-")]


def disagreements(pyproject: str, environment: str) -> set[tuple[str, str]]:
    """Packages with bounds that stand in one of the two files only."""
    project = tomllib.loads(pyproject)["project"]
    wanted = list(project["dependencies"])
    for name, extra in project["optional-dependencies"].items():
        if name != "bench":  # rivals, only to be measured against
            wanted += extra
    # For a Python older than the one that conda installs.
    wanted = [text for text in wanted if "python_full_version" not in text]
    wanted += [f"python{project['requires-python']}", "pip"]
    ours, theirs = bounds(wanted), bounds(conda_requirements(environment))
    return set(ours.items()) ^ set(theirs.items())


def test_the_conda_door_has_the_same_packages_and_bounds(repository):
    pyproject = (repository / "pyproject.toml").read_text(encoding="utf-8")
    environment = (repository / "environment.yml").read_text(encoding="utf-8")
    assert disagreements(pyproject, environment) == set()


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("  - numpy>=1.26\n", "", {("numpy", ">=1.26")}),
        ("pytorch>=2.6", "pytorch>=2.5", {("torch", ">=2.6"), ("torch", ">=2.5")}),
        ("  - pip\n", "  - pip\n  - pandas\n", {("pandas", "")}),
    ],
)
def test_a_disagreement_is_found(repository, old, new, found):
    pyproject = (repository / "pyproject.toml").read_text(encoding="utf-8")
    environment = (repository / "environment.yml").read_text(encoding="utf-8")
    assert old in environment
    assert disagreements(pyproject, environment.replace(old, new)) == found


def test_the_version_is_one_and_plain():
    from importlib.metadata import version

    assert re.fullmatch(r"\d+\.\d+\.\d+", flowerlib.__version__)
    assert version("flowerlib") == flowerlib.__version__


def test_the_command_is_installed(repository):
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"flowerlib": "flowerlib.cli:command"}
    command = Path(sysconfig.get_path("scripts")) / "flowerlib"
    result = subprocess.run([command, "--version"], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    assert flowerlib.__version__ in result.stdout


def tracked_files(repository: Path) -> list[Path]:
    """Files that git knows or would add; the checkout's files where git is missing."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        result = subprocess.run(command, cwd=repository, capture_output=True, text=True)
        names = (
            [name for name in result.stdout.split("\0") if name] if not result.returncode else []
        )
    except OSError:
        names = []
    if not names:  # an archive without .git
        skip = {".venv", "build", "__pycache__", ".git"}
        paths = repository.rglob("*")
        return [p for p in paths if p.is_file() and not skip & set(p.relative_to(repository).parts)]
    return [repository / name for name in names if (repository / name).is_file()]


def test_what_is_not_python_is_packaged_too(repository):
    tool = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    package = repository / "flowerlib"
    packaged = {
        path
        for name in tool["setuptools"]["package-data"]["flowerlib"]
        for path in package.glob(name)
    }
    below = [path for path in tracked_files(repository) if package in path.parents]
    data = {path for path in below if path.suffix != ".py"}
    assert data
    assert data <= packaged


def machine_paths(files: list[Path]) -> list[str]:
    """`file: path` for every folder of one machine that a text file names."""
    found = []
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:  # not a text
            continue
        # Pictures in notebooks are base64, which can spell anything.
        text = re.sub(r'"image/(?:png|jpeg)": "[^"]*"', "", text)
        found += [f"{file.name}: {match[0]}" for match in MACHINE_PATH.finditer(text)]
    return found


def test_no_tracked_text_names_a_machines_folders(repository):
    files = [
        file
        for file in tracked_files(repository)
        if file.relative_to(repository).as_posix() not in ALLOWED
    ]
    assert len(files) > 10
    assert machine_paths(files) == []


def test_a_machines_folder_is_found(tmp_path):
    (tmp_path / "a.md").write_text("see /home/someone/photos and https://a.org/home/page")
    (tmp_path / "b.bin").write_bytes(b"\xff\xfe/home/x")
    assert machine_paths(sorted(tmp_path.iterdir())) == ["a.md: /home/someone"]


def test_the_continuous_integration_calls_the_readme_command(repository):
    assert "make --no-print-directory test" in (repository / ".ci" / "run").read_text()
    workflow = (repository / ".github" / "workflows" / "tests.yml").read_text()
    commands = re.findall(r"- run: (.+)", workflow)
    assert commands
    assert all(re.match(r"make (test|lint|pages)\b", command) for command in commands)
