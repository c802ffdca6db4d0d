"""Exports a video in other formats, for places that do not accept MP4.

Each format is a row of `EXPORT_FORMATS`. All formats are made from the decoded frames, one at a time, so a long
video needs no more memory than a short one. Each file contains the settings, as the MP4 does.
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
"""Called with the finished frames and the total. Its exception stops the export."""


@dataclass(frozen=True)
class ExportFormat:
    """One format: its title, its file suffix, its media type, and its function."""

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
    """A looping GIF. All frames share one palette, so that still parts do not flicker."""
    about, palette = clip.probe(mp4), _palette(mp4)
    shown = _shown_ms(about.num_frames, about.fps)
    images = (Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
              for number, frame in enumerate(_frames(mp4, on_frame)) if number in shown)
    first = next(images)
    first.save(out, "GIF", save_all=True, append_images=images, loop=0, optimize=False,
               duration=list(shown.values()), comment=about.comment.encode())


def _palette(mp4: Path) -> Image.Image:
    """A palette of 256 colours from frames of all parts of the video."""
    every = max(1, clip.probe(mp4).num_frames // PALETTE_FRAMES)
    small = [_thumbnail(frame) for frame in itertools.islice(clip.stream(mp4), 0, None, every)]
    return Image.fromarray(np.concatenate(small)).quantize(256, method=Image.Quantize.MEDIANCUT)


def _thumbnail(frame: np.ndarray) -> np.ndarray:
    image = Image.fromarray(frame)
    image.thumbnail((PALETTE_SIDE, PALETTE_SIDE), Image.Resampling.NEAREST)  # a mean would add new colours
    return np.asarray(image)


def _shown_ms(count: int, fps: float) -> dict[int, int]:
    """The frames of the GIF and their durations in ms. The GIF lasts as long as the video.

    A GIF counts in hundredths of a second. Browsers play a frame of less than 2 hundredths as one of 10. So above
    50 frames per second some frames are left out.
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
    """A ZIP of lossless frames, `frame-0001.png` and following, and the sidecar."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_member(f"{video.id}.json"), sidecar.dump(video.document()))
        for number, frame in enumerate(_frames(mp4, on_frame), 1):
            png = io.BytesIO()
            Image.fromarray(frame).save(png, "PNG", compress_level=4)
            archive.writestr(_member(f"frame-{number:04d}.png"), png.getvalue())


def _member(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(name)  # its date is always 1980, so that the same frames give the same file


EXPORT_FORMATS: dict[str, ExportFormat] = {
    "gif": ExportFormat("GIF", ".gif", "image/gif", _gif),
    "webm": ExportFormat("WebM", ".webm", "video/webm", _webm),
    "png": ExportFormat("Frames as PNG", ".png.zip", "application/zip", _png),
}
