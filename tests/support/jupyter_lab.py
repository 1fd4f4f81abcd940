"""A JupyterLab of the tests' own, with its widgets and jupyter-server-proxy, and a browser."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.support.browser import chromium, program
from tests.support.processes import until

TOKEN = "sesame-of-the-tests"
PREFIX = "/user/ada/"
PATIENCE = 120_000
"""How long (milliseconds) a page may take to show something."""

MODULES = ("jupyterlab", "jupyter_server_proxy", "ipywidgets", "playwright")


def missing() -> str:
    """Say what of all this is not installed; empty if everything is."""
    absent = [name for name in MODULES if find_spec(name) is None]
    return ", ".join(absent if program() else [*absent, "chromium"])


class Lab:
    """A JupyterLab that runs.

    Attributes
    ----------
    url : str
        Its address, with the prefix that it has on a JupyterHub; ends with ``/``.
    work : Path
        Where its notebooks are.
    """

    def __init__(self, url: str, work: Path) -> None:
        self.url = url
        self.work = work


@contextmanager
def running_lab(directory: Path) -> Iterator[Lab]:
    """Start a JupyterLab, and end it with its kernels and all that it has started."""
    # Its extensions are where it is installed, which need not be this environment.
    spec = find_spec("jupyterlab")
    assert spec is not None
    assert spec.origin is not None
    installed = Path(spec.origin).parents[4]
    work = directory / "work"
    work.mkdir()
    environ = {
        **os.environ,
        "HOME": str(directory),
        "IPYTHONDIR": str(directory / "ipython"),
        "JUPYTER_CONFIG_DIR": str(directory / "config"),
        "JUPYTER_CONFIG_PATH": str(installed / "etc/jupyter"),
        "JUPYTER_DATA_DIR": str(directory / "data"),
        "JUPYTER_PATH": str(installed / "share/jupyter"),
        "JUPYTER_RUNTIME_DIR": str(directory / "runtime"),
        "JUPYTERHUB_SERVICE_PREFIX": PREFIX,
        "CTRLHUB_HTTP_LINK": "{prefix}/ctrl-hub/@{profile}/",
    }
    options = (
        "--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0", f"--IdentityProvider.token={TOKEN}",
        f"--ServerApp.root_dir={work}", f"--ServerApp.base_url={PREFIX}", "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.collaborative=False",
    )  # fmt: skip
    with open(directory / "log", "wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options], env=environ, stdout=log, stderr=log, cwd=work
        )
    try:
        note = directory / "runtime" / f"jpserver-{server.pid}.json"
        until(lambda: is_written(note) or server.poll() is not None, "JupyterLab serves", 180)
        assert server.poll() is None, (directory / "log").read_text()
        yield Lab(json.loads(note.read_text())["url"], work)
    finally:
        server.terminate()
        server.wait(60)


def is_written(note: Path) -> bool:
    """Say whether a file is there, with the whole of an object of JSON."""
    return note.exists() and note.read_bytes().rstrip().endswith(b"}")


@contextmanager
def browser_page() -> Iterator[Any]:
    """Start a browser, and give an empty page."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(PATIENCE)
        yield page
