"""Clips and videos to test the library with: small, real, and made once."""

import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from core.domain.receipt import Environment, Receipt
from core.domain.recipe import Recipe
from core.domain.verdict import Verdict
from core.domain.video import Result, Runtime, Video, new_id
from core.library import sidecar
from core.library.library import Library
from core.library.media import clip, encoder
from core.library.search.entry import Entry
from core.library.search.query import Query
from core.studio import Studio

HOSTILE = {
    "newlines": "two\nlines\r\nand a\ttab",
    "quotes": "\"double\" 'single' `back` «guillemets»",
    "ffmpeg options": "-i /etc/passwd; -metadata artist=injected",
    "ffmetadata": ";FFMETADATA1\nartist=injected\n[CHAPTER]\\=#",
    "shell": "$(touch x) %PATH% !! && | > <",
    "backslashes": "C:\\new\\table \\u0041 \\",
    "right to left": "שלום \u202eevil\u202c مرحبا",
    "emoji": "👩‍👩‍👧 🏳️‍🌈 e\u0301 é ﬁ",
    "html": "<img src=x onerror=alert(1)> ![x](http://example.org/)",
    "private and odd": "\ue000 \ufffd \ufeff \u2028 \U0010ffff",
    "longest": "😀" * 2000,
}


def moving(count: int = 8, height: int = 32, width: int = 32) -> np.ndarray:
    """Smooth colours that move: uint8 (count, height, width, 3)."""
    t, y, x = np.meshgrid(np.arange(count), np.arange(height), np.arange(width), indexing="ij")
    planes = [np.sin(x / 20 + t / 5), np.sin(y / 24 - t / 6), np.sin((x + y) / 30 + t / 7)]
    return (np.stack(planes, axis=-1) * 100 + 128).astype(np.uint8)


@cache
def mp4(count: int = 8, height: int = 32, width: int = 32, comment: str = "") -> tuple[bytes, Result]:
    """Such a clip as an MP4 at 8 frames per second."""
    return clip.encode_bytes(moving(count, height, width), 8, comment)


def video(prompt: str = "a red ball", *, id: str | None = None, created: str = "2026-11-22T08:13:01+00:00",
          **changes: object) -> Video:
    """A video whose file is `mp4()`; `changes` go to the recipe where it has such a field, else to the video."""
    recipe = Recipe(
        prompt=prompt, negative_prompt="blurry", model="demo", num_frames=8, num_inference_steps=20,
        guidance_scale=5.0, fps=8, seed=1234, width=32, height=32, scheduler="dpmsolver++",
        mode="exact")
    asked = {name: changes.pop(name) for name in list(changes) if name in Recipe.__dataclass_fields__}
    environment = Environment("cpu", "a processor", "float32", "math", "resident", 1, {"torch": "2.13.0"})
    receipt = Receipt("n" * 64, "f" * 64, "demo", "folder", "", "w" * 64, {"solver_order": 2}, environment)
    whole = Video(
        id=id or new_id(), created=created, owner="", parent=None, recipe=replace(recipe, **asked),
        receipt=receipt, result=mp4()[1], runtime=Runtime(total_s=1.5, denoise_s=1.25))
    return replace(whole, **changes)


def found(opened: Library | Studio, query: Query | None = None) -> tuple[Video, ...]:
    """The complete videos of a page of an answer, by default of everything."""
    library = opened.library if isinstance(opened, Studio) else opened
    page = library.search(query or Query())
    assert all(Entry.of(library.get(entry.id), abs(entry.sidecar_ns)) == entry for entry in page.entries), \
        "a row that is not what the sidecar says"
    return tuple(library.get(entry.id) for entry in page.entries)


def with_recipe(plain: Video, frames: np.ndarray | None = None) -> tuple[Video, bytes]:
    """The video with its own MP4 that carries its settings, as a worker makes it."""
    frames = moving() if frames is None else frames
    count, height, width, _ = frames.shape
    before = replace(plain, result=Result(count, width, height, plain.recipe.fps,
                                          round(count / plain.recipe.fps, 6), 0, ""))
    data, result = clip.encode_bytes(frames, plain.recipe.fps, sidecar.comment_of(before))
    return replace(plain, result=result), data


def entry(number: int = 1, prompt: str = "a red ball", **changes: object) -> Entry:
    """A row: the higher the number, the later it was made."""
    time_of_day = f"08:{number // 60 % 60:02d}:{number % 60:02d}"
    made = video(prompt, id=f"20261122-{number:06d}-abcdef",
                 created=f"2026-11-{1 + number // 100:02d}T{time_of_day}+00:00", **changes)
    return Entry.of(made, number)


def foreign(path: Path, *options: str, frames: np.ndarray | None = None, rate: str = "8") -> Path:
    """An MP4 as another program makes it: FFmpeg's defaults, and these options."""
    raw = moving() if frames is None else frames
    ffmpeg = encoder.ffmpeg_version().partition("(")[2].rstrip(")")
    size = f"{raw.shape[2]}x{raw.shape[1]}"
    given = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", rate, "-i", "-", "-pix_fmt", "yuv420p")
    subprocess.run([ffmpeg, "-y", "-v", "error", *given, *options, path], input=raw.tobytes(), check=True)
    return path


IDENTICAL = Verdict("identical", None, ())


def publish(studio: Studio, video: Video, data: bytes) -> Video:
    """Store a video in the library of a studio that does not lead, as the leader would."""
    library = Library(studio.settings.data_dir, writable=True)
    try:
        return library.publish(video, data)
    finally:
        library.close()
