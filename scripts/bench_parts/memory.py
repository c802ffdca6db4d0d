"""Memory of the app's process while a browser plays fifty videos; it should not grow."""

import tempfile
from pathlib import Path

from scripts.bench_parts.browsing import a_page, missing, served
from scripts.bench_parts.synthetic import fill

VIDEOS = 50


def _resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ValueError("no VmRSS")


def measure(models_dir: Path, repeats: int) -> dict[str, float | int]:
    """Resident MB of the server after 1, 10 and 50 videos opened and played in a real browser."""
    lacking = missing() or ("" if Path("/proc/self/status").exists() else "needs Linux")
    if lacking:
        return {f"skipped: {lacking}": 0}
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        ids = fill(Path(folder), VIDEOS)
        with served(Path(folder), models_dir) as (address, pid), a_page() as page:
            for number, video in enumerate(ids, start=1):
                page.goto(f"{address}/gallery?video={video}")
                page.wait_for_function("document.querySelector('video')?.videoWidth > 0", timeout=30000)
                if number in (1, 10, VIDEOS):
                    figures[f"after {number} videos viewed, MB"] = _resident_mb(pid)
    figures["growth from the 10th to the 50th, MB"] = (
        figures[f"after {VIDEOS} videos viewed, MB"] - figures["after 10 videos viewed, MB"])
    return figures
