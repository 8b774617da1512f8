"""JupyterLab in a real browser: a lesson is opened, run and saved, and is still the same pair."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from tools import notebook_checks, notebooks

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def lab(repository, tmp_path):
    """A copy of the lessons in a JupyterLab of its own: its address and its folder."""
    pytest.importorskip("jupyterlab")
    folder = tmp_path / "notebooks"
    shutil.copytree(repository / "notebooks", folder, ignore=shutil.ignore_patterns(".*"))
    shutil.copytree(repository / "results", tmp_path / "results")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        *(sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root"),
        *(f"--notebook-dir={folder}", "--ip=127.0.0.1", f"--port={port}"),
        *("--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True"),
        *(
            "--LabApp.news_url=None",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        ),
    ]
    environment = {**os.environ, "PYTHONPATH": str(repository), "HOME": str(tmp_path)}
    with open(tmp_path / "lab.txt", "w", encoding="utf-8") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=tmp_path)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{address}/api/status", server)
        yield address, folder
    finally:
        server.terminate()
        server.wait(30)


def wait_for(address: str, server: subprocess.Popen) -> None:
    """Returns as soon as the server answers."""
    for _ in range(600):
        assert server.poll() is None, "JupyterLab ended"
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("JupyterLab does not answer")


def test_run_all_and_save_keep_the_pair(lab, browser):
    address, folder = lab
    source = min(folder.glob("[0-9]*.py"))
    text = source.read_bytes()
    page = browser.new_page()
    page.set_default_timeout(600_000)
    page.goto(f"{address}/lab/tree/{source.stem}.ipynb?reset")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    page.wait_for_function(
        "window.jupyterapp?.shell.currentWidget?.context?.sessionContext.isReady"
    )
    page.wait_for_function(
        "window.jupyterapp.shell.currentWidget.context.sessionContext.session?.kernel?.status"
        " === 'idle'"
    )
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    stored = json.loads(source.with_suffix(".ipynb").read_text(encoding="utf-8"))
    code = [cell for cell in stored["cells"] if cell["cell_type"] == "code"]
    outputs = [output for cell in code for output in cell["outputs"]]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert [output for output in outputs if output["output_type"] == "error"] == []
    assert source.read_bytes() == text, "saving changed the .py"
    pair = notebook_checks.read(source)
    problems = [problem for check in notebook_checks.PAIR_CHECKS for problem in check(pair)]
    if notebooks.why_figures_may_differ():  # then the message says so, and how to go on
        problems = [
            problem for problem in problems if not problem.startswith("its outputs are not")
        ]
    assert problems == []
    assert (
        notebooks.code_hash(notebooks.read_text(source)) == stored["metadata"]["flowerlib"]["code"]
    )
