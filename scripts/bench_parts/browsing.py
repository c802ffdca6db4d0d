"""A running app and a real browser, for the parts that measure pages."""

import http.client
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def missing() -> str:
    """The requirement of the browser parts that this machine lacks; empty if it has all."""
    if CHROMIUM is None:
        return "needs Chromium"
    return "" if find_spec("playwright") else "needs playwright (scripts/test installs it)"


@contextmanager
def served(data_dir: Path, models_dir: Path, **settings: object) -> Iterator[tuple[str, int]]:
    """The address of the app on a free port of this machine, and the id of its process.

    Args:
        settings: more settings, for example `DISPATCH=1`; without this one no job runs.

    Raises:
        TimeoutError: it did not answer within two minutes.
    """
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    values = {"DATA_DIR": data_dir, "MODELS_DIR": models_dir, "DISPATCH": 0, **settings}
    server = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", "--server.port", str(port)],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, **{f"T2V_{name}": str(value) for name, value in values.items()}})
    try:
        _until_answered(port)
        yield f"http://127.0.0.1:{port}", server.pid
    finally:
        server.terminate()
        server.wait(timeout=20)


@contextmanager
def a_page(height: int = 900) -> Iterator[Any]:
    """An empty page of a browser without a window, 1280 pixels wide (`playwright.sync_api.Page`)."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser.new_page(viewport={"width": 1280, "height": height})
        finally:
            browser.close()


def _until_answered(port: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/_stcore/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("the server did not start within two minutes")
