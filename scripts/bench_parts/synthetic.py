"""A library of many artificial videos, for measurements and for browser tests.

The sidecars are real and all different. MP4, poster and moving poster are one small file each, linked under every
name. The same count always gives the same library. The files are not forced to the disk: the library is temporary.
"""

import hashlib
import os
import random
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from core.domain.receipt import Environment, Receipt
from core.domain.recipe import resolve
from core.domain.request import VideoRequest
from core.domain.verdict import DRIFTED, EQUIVALENT, IDENTICAL, Verdict
from core.domain.video import Result, Runtime, Video
from core.families.registry import MODELS, SCHEDULERS
from core.library import sidecar
from core.library.library import Library
from core.library.media import clip, posters
from core.library.storage.video_files import ANIMATION, MP4, POSTER, SIDECAR, VideoFiles

START = datetime(2025, 1, 1, tzinfo=UTC)
APART = timedelta(minutes=10)
LINKS = 30_000  # a file system allows some 65,000 names for one file
_THINGS = ("red ball", "blue square", "sailing boat", "neon city", "paper kite", "shooting star", "brass clock",
           "old lighthouse", "grey cat", "green turtle", "hot air balloon", "snow fox", "tall ship", "water lily")
_MOTIONS = ("bouncing", "drifting", "turning slowly", "falling", "rising", "crossing", "spinning", "swaying")
_PLACES = ("on a white background", "over a night sky", "in the fog", "under heavy rain", "at sunrise",
           "through tall grass", "above a calm sea", "between mountains", "in falling snow")
_TAGS = ("sea", "dusk", "keeper", "client A", "loop", "to redo", "night", "study")
_OWNERS = ("", "", "ada", "grace")
_LORAS = ("film grain", "ink wash", "slow pan")
_VERDICTS = (Verdict(IDENTICAL), Verdict(EQUIVALENT, 46.5, ("another version of torch",)),
             Verdict(DRIFTED, 21.0, ("another GPU",)))


def moving_square(num_frames: int = 16, side: int = 64) -> np.ndarray:
    """Frames to encode: uint8 (F, side, side, 3), a square that crosses a gradient."""
    frames = np.zeros((num_frames, side, side, 3), np.uint8)
    frames[..., 2] = np.linspace(0, 200, side, dtype=np.uint8)
    for number, frame in enumerate(frames):
        left = number * (side - 16) // max(num_frames - 1, 1)
        frame[24:40, left:left + 16, 0] = 255
    return frames


def video_id(number: int) -> str:
    """The id of the video with that number; a higher number means a later time."""
    return f"{START + number * APART:%Y%m%d-%H%M%S}-{number % 2**24:06x}"


def synthetic(number: int, result: Result) -> Video:
    """The sidecar of one video. Every seventh is a regeneration of the one before it."""
    draw = random.Random(number)
    prompt = f"a {draw.choice(_THINGS)} {draw.choice(_MOTIONS)} {draw.choice(_PLACES)}, take {number}"
    recipe = resolve(VideoRequest(
        prompt, seed=draw.randrange(2**63), num_inference_steps=draw.choice((10, 20, 20, 20, 30)),
        guidance_scale=draw.choice((1.0, 5.0, 5.0, 7.5)), scheduler=draw.choice(list(SCHEDULERS)),
        negative_prompt=draw.choice(("", "", "blurry", "text, watermark"))), MODELS)
    lora = ({"name": draw.choice(_LORAS), "sha256": "0" * 64, "weight": 0.8},) if draw.random() < 0.1 else ()
    machine = Environment("cpu", "made up", "float32", "sdpa", "resident", 1, {"torch": "2.13.0"})
    frames = hashlib.sha256(str(number).encode()).hexdigest()
    receipt = Receipt("0" * 64, frames, recipe.model, "folder", "", "0" * 64, {"solver_order": 2}, machine,
                      lora)
    again = number % 7 == 6
    seconds = round(draw.uniform(2, 90), 3)
    return Video(
        video_id(number), (START + number * APART).isoformat(), draw.choice(_OWNERS),
        video_id(number - 1) if again else None, recipe, receipt, result,
        Runtime(denoise_s=round(seconds * 0.8, 3), decode_s=round(seconds * 0.1, 3), total_s=seconds),
        tuple(sorted(draw.sample(_TAGS, draw.choice((0, 0, 0, 1, 2))))), draw.random() < 0.05,
        draw.choice(_VERDICTS) if again else None)


def shared_clip() -> tuple[bytes, Result]:
    """The MP4 of all the videos."""
    return clip.encode_bytes(moving_square(), 8, "{}")


def fill(data_dir: Path, count: int) -> list[str]:
    """Make a library of `count` videos; returns their ids, oldest first."""
    data, result = shared_clip()
    frames = moving_square()
    contents = {MP4: data, POSTER: posters.poster(frames), ANIMATION: posters.animation(frames, 8)}
    video_files = VideoFiles(Path(data_dir) / "library")
    video_files.root.mkdir(parents=True)
    ids = [video_id(number) for number in range(count)]
    with tempfile.TemporaryDirectory(dir=data_dir) as folder:
        for number, name in enumerate(ids):
            if number % LINKS == 0:
                for suffix, content in contents.items():
                    (Path(folder) / f"{number}{suffix}").write_bytes(content)
            beside = video_files.path(name, SIDECAR)
            beside.parent.mkdir(exist_ok=True)
            beside.write_bytes(sidecar.dump(synthetic(number, result).document()))
            for suffix in contents:
                os.link(Path(folder) / f"{number - number % LINKS}{suffix}", video_files.path(name, suffix))
    Library(data_dir, writable=True).close()
    return ids
