"""A video in another form: what can be made from its MP4 for places that want no MP4.

Each form is a row of `RENDITIONS`. All are made from the decoded frames, one at a time, so that a long video needs
no more memory than a short one; the settings that are inside the MP4 are inside each of them too.
"""

import io
import itertools
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from core.domain.video import Video
from core.library import sidecar
from core.library.media import clip
from core.library.media.encoder import VP9, encode

PALETTE_FRAMES = 16
PALETTE_SIDE = 160
_SHORTEST = 2  # hundredths of a second

OnFrame = Callable[[int, int], None]
"""Called with frames done and in all; what it raises stops the making."""


@dataclass(frozen=True)
class ExportFormat:
    """One form: its word for people, the end of its file's name, its media type, and what makes it."""

    title: str
    suffix: str
    media_type: str
    make: Callable[[Video, Path, Path, OnFrame], None]


def _frames(mp4: Path, on_frame: OnFrame) -> Iterator[np.ndarray]:
    total = clip.probe(mp4).num_frames
    for number, frame in enumerate(clip.stream(mp4), 1):
        yield frame
        on_frame(number, total)


def _gif(video: Video, mp4: Path, out: Path, on_frame: OnFrame) -> None:
    """One palette for all frames, so that still parts do not flicker; it loops."""
    about, palette = clip.probe(mp4), _palette(mp4)
    shown = _shown_ms(about.num_frames, about.fps)
    images = (Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
              for number, frame in enumerate(_frames(mp4, on_frame)) if number in shown)
    first = next(images)
    first.save(out, "GIF", save_all=True, append_images=images, loop=0, optimize=False,
               duration=list(shown.values()), comment=about.comment.encode())


def _palette(mp4: Path) -> Image.Image:
    """The 256 colours that suit frames from the beginning to the end."""
    every = max(1, clip.probe(mp4).num_frames // PALETTE_FRAMES)
    small = [_thumbnail(frame) for frame in itertools.islice(clip.stream(mp4), 0, None, every)]
    return Image.fromarray(np.concatenate(small)).quantize(256, method=Image.Quantize.MEDIANCUT)


def _thumbnail(frame: np.ndarray) -> np.ndarray:
    image = Image.fromarray(frame)
    image.thumbnail((PALETTE_SIDE, PALETTE_SIDE), Image.Resampling.NEAREST)  # a mean would be a colour of its own
    return np.asarray(image)


def _shown_ms(count: int, fps: float) -> dict[int, int]:
    """Which frames a GIF shows, and for how long, so that the whole lasts as long as the video.

    A GIF counts hundredths of a second, and browsers play a frame of less than two as one of ten: above 50 frames
    per second some are left out.
    """
    starts, last = {0: 0}, 0
    for number in range(1, count):
        at = round(100 * number / fps)
        if at - last >= _SHORTEST:
            starts[number] = last = at
    ends = [*list(starts.values())[1:], max(round(100 * count / fps), last + _SHORTEST)]
    return {number: 10 * (end - start) for (number, start), end in zip(starts.items(), ends, strict=True)}


def _webm(video: Video, mp4: Path, out: Path, on_frame: OnFrame) -> None:
    about = clip.probe(mp4)
    encode(_frames(mp4, on_frame), (about.width, about.height), about.fps, out, about.comment, VP9)


def _png(video: Video, mp4: Path, out: Path, on_frame: OnFrame) -> None:
    """A ZIP of `frame-0001.png` and on, without loss, and the sidecar beside them."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_member(f"{video.id}.json"), sidecar.dump(video.document()))
        for number, frame in enumerate(_frames(mp4, on_frame), 1):
            png = io.BytesIO()
            Image.fromarray(frame).save(png, "PNG", compress_level=4)
            archive.writestr(_member(f"frame-{number:04d}.png"), png.getvalue())


def _member(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(name)  # of 1980, so that the same frames give the same file


EXPORT_FORMATS: dict[str, ExportFormat] = {
    "gif": ExportFormat("GIF", ".gif", "image/gif", _gif),
    "webm": ExportFormat("WebM", ".webm", "video/webm", _webm),
    "png": ExportFormat("Frames as PNG", ".png.zip", "application/zip", _png),
}
