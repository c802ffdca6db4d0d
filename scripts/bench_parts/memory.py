"""Memory of the process of the screens while fifty videos are viewed; it should stay flat."""

import http.client
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from scripts.bench_parts.synthetic import fill

ROOT = Path(__file__).resolve().parent.parent.parent
VIDEOS = 50


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ValueError("no VmRSS")


def until_served(port: int) -> None:
    """Return as soon as the app on this port answers; raises TimeoutError after a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/_stcore/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("the server did not start within 60 s")


def measure(models_dir: Path, repeats: int) -> dict[str, float | int]:
    """Resident MB of the server after 1, 10 and 50 videos opened and played in a real browser."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None or not Path("/proc/self/status").exists():
        return {"skipped: needs Linux and Chromium": 0}
    if find_spec("playwright") is None:
        return {"skipped: needs playwright (scripts/test installs it)": 0}
    from playwright.sync_api import sync_playwright

    port, figures = _free_port(), {}
    with tempfile.TemporaryDirectory() as folder:
        ids = fill(Path(folder), VIDEOS)
        server = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", "--server.port", str(port)],
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "T2V_DATA_DIR": folder, "T2V_MODELS_DIR": str(models_dir), "T2V_DISPATCH": "0"})
        try:
            until_served(port)
            with sync_playwright() as playwright:
                page = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"]).new_page()
                for number, video in enumerate(ids, start=1):
                    page.goto(f"http://127.0.0.1:{port}/gallery?video={video}")
                    page.wait_for_function("document.querySelector('video')?.videoWidth > 0", timeout=30000)
                    if number in (1, 10, VIDEOS):
                        figures[f"after {number} videos viewed, MB"] = _resident_mb(server.pid)
                page.context.browser.close()
        finally:
            server.terminate()
            server.wait(timeout=20)
    figures["growth from the 10th to the 50th, MB"] = (
        figures[f"after {VIDEOS} videos viewed, MB"] - figures["after 10 videos viewed, MB"])
    return figures
