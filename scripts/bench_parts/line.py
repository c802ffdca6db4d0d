"""Times everything outside the model: from the click to the first step, and from the last step to the gallery."""

import statistics
import tempfile
import time
from pathlib import Path

from core.domain.request import VideoRequest
from core.library.search.query import Query
from core.settings import Settings
from core.studio import Studio, open_studio

PROMPT = "a red ball bouncing on a white background"


def _warm(studio: Studio) -> None:
    """Make one video, so that the worker runs and the model is loaded."""
    for _ in studio.wait(studio.submit(VideoRequest(PROMPT, num_inference_steps=2)).id):
        pass


def _one(studio: Studio, steps: int) -> dict[str, float]:
    """Submit one video and watch the ledger for its progress; seconds, by this process's clock."""
    clicked = time.monotonic()
    job = studio.submit(VideoRequest(PROMPT, num_inference_steps=steps))
    first = None
    for now in studio.wait(job.id, poll_s=0.002):
        if first is None and now.phase == "denoising":
            first = time.monotonic()
    while not studio.search(Query(text="")).entries or studio.search(Query(text="")).entries[0].id != job.id:
        time.sleep(0.001)
    done = time.monotonic()
    runtime = studio.video(job.id).runtime
    model = runtime.denoise_s + runtime.decode_s
    return {"total": done - clicked, "model": model, "outside": done - clicked - model,
            "encode": runtime.encode_s, "first": (first or done) - clicked}


def measure(models_dir: Path, repeats: int) -> dict[str, float | int]:
    """Medians in seconds over `repeats` videos of the demo model on a warm worker."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.from_env(data_dir=Path(folder), models_dir=models_dir, model="demo")
        with open_studio(settings) as studio:
            _warm(studio)
            runs = [_one(studio, steps=10) for _ in range(repeats)]
    middle = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    return {
        "videos": repeats,
        "click to playable in the gallery, s": middle["total"],
        "in the model (denoise + decode), s": middle["model"],
        "outside the model, s (aim 0.5)": middle["outside"],
        "of which encoding the MP4, s": middle["encode"],
        "click to the first sign of denoising in the ledger, s": middle["first"],
        "outside / inside the model": middle["outside"] / middle["model"],
    }
