"""A library of many entries for measurements: real sidecars and files, one small MP4 for all of them."""

import secrets
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from core.library import clip
from core.library.library import Library
from core.models import MODELS
from core.receipt import Environment, Receipt
from core.request import VideoRequest, resolve
from core.video import Result, Runtime, Video

START = datetime(2026, 1, 1, tzinfo=UTC)


def moving_square(num_frames: int = 16, side: int = 64) -> np.ndarray:
    """Frames to encode: uint8 (F, side, side, 3), a square that crosses a gradient."""
    frames = np.zeros((num_frames, side, side, 3), np.uint8)
    frames[..., 2] = np.linspace(0, 200, side, dtype=np.uint8)
    for number, frame in enumerate(frames):
        left = number * (side - 16) // max(num_frames - 1, 1)
        frame[24:40, left:left + 16, 0] = 255
    return frames


def entry(number: int, result: Result) -> Video:
    """The sidecar of one synthetic video; entries are a minute apart."""
    moment = START + timedelta(minutes=number)
    request = resolve(VideoRequest(f"a red ball number {number} bouncing", seed=number), MODELS)
    machine = Environment("cpu", "synthetic", "float32", "sdpa", "resident", 1, {})
    receipt = Receipt("0" * 64, secrets.token_hex(32), "demo", "folder", "", "0" * 64, {}, machine)
    return Video(f"{moment:%Y%m%d-%H%M%S}-{number % 2**24:06x}", moment.isoformat(), "", None, request, receipt,
                 replace(result), Runtime())


def fill(data_dir: Path, count: int) -> list[str]:
    """Publish one real MP4 under `count` ids; returns them, oldest first."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        result = clip.write(moving_square(), 8, path, "{}")
        mp4 = path.read_bytes()
    library = Library(data_dir, writable=True)
    videos = [entry(number, result) for number in range(count)]
    for video in videos:
        library.publish(video, mp4)
    library.close()
    return [video.id for video in videos]

