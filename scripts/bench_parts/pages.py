"""Times a rerun of each page on the server, against a page of one line."""

import logging
import os
import statistics
import tempfile
import time
from pathlib import Path

from scripts.bench_parts.synthetic import fill

ROOT = Path(__file__).resolve().parent.parent.parent
VIDEOS = 24


def _median_ms(app: object, repeats: int) -> float:
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        app.run(timeout=60)
        times.append((time.perf_counter() - begun) * 1000)
    assert not app.exception, [str(error) for error in app.exception]
    return statistics.median(times)


def measure(models_dir: Path, repeats: int) -> dict[str, float | int]:
    """Milliseconds of a rerun through Streamlit's own script runner, without a browser; medians."""
    from streamlit.testing.v1 import AppTest

    logging.getLogger("streamlit").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), VIDEOS)
        os.environ.update(T2V_DATA_DIR=folder, T2V_MODELS_DIR=str(models_dir), T2V_DISPATCH="0")
        bare = AppTest.from_string("import streamlit as st\nst.write('hello')")
        bare.run(timeout=60)
        app = AppTest.from_file(str(ROOT / "streamlit_app.py"))
        app.run(timeout=60)
        figures: dict[str, float | int] = {"videos in the library": VIDEOS}
        figures["a page of one line, ms"] = one = _median_ms(bare, repeats * 4)
        for page in ("generate", "gallery", "queue"):
            app.switch_page(f"pages/{page}.py").run(timeout=60)
            figures[f"{page}, ms"] = _median_ms(app, repeats * 4)
            figures[f"{page} / a page of one line"] = figures[f"{page}, ms"] / one
        from pages.parts.shell import current_studio
        current_studio.clear()
    return figures
