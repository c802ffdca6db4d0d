"""Compares two videos frame by frame: the measurements, and one clip that shows both and their differences.

The videos are not scaled. Frame n of A is beside frame n of B; after the end of the shorter one its place is empty.
The results are derived files. Anybody may delete them at any time; the next request makes them again.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from core.domain.video import Video
from core.errors import BadRequest, NotFound
from core.library.library import Library
from core.library.media import clip, metrics
from core.library.media.encoder import SEEKABLE, encode
from core.library.media.panels import Panel, lay_out
from core.library.storage.derived_files import DerivedFiles

FORMAT = 1  # of the stored files; a comparison with another number is made again
OnFrame = Callable[[int, int], None]


@dataclass(frozen=True)
class Comparison:
    """The measured comparison of two videos.

    Attributes:
        a, b: the ids of the videos; a_sha256, b_sha256: the hashes of their MP4s.
        num_frames: frames of the longer video; fps: frames per second of the clip, the same as A.
        width, height: size of the clip in pixels; panels: places of A, B and (only for equal sizes) the difference.
        psnr_db: one value for each frame that both have; None for equal frames.
        ssim: the same; 1 for equal frames; None if a side has less than 11 pixels. Both are empty if the sizes differ.
        total_psnr_db, mean_ssim: over all frames that both have; None if not measured. total_psnr_db is also None
            for equal frames.
        notes: sentences about the omitted parts, with the reason.
    """

    a: str
    b: str
    a_sha256: str
    b_sha256: str
    num_frames: int
    fps: float
    width: int
    height: int
    panels: tuple[Panel, ...]
    psnr_db: tuple[float | None, ...]
    ssim: tuple[float | None, ...]
    total_psnr_db: float | None
    mean_ssim: float | None
    notes: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether every frame was measured and no pixel differs."""
        return len(self.psnr_db) == self.num_frames and all(value is None for value in self.psnr_db)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "Comparison":
        """Read a stored comparison; raises TypeError or KeyError for any other document."""
        values: dict[str, Any] = {f.name: document[f.name] for f in fields(cls)}
        panels = tuple(Panel(**panel) for panel in values.pop("panels"))
        values |= {name: tuple(values[name]) for name in ("psnr_db", "ssim", "notes")}
        return cls(**values, panels=panels)


class Comparisons:
    """The comparisons of one library, made on request and stored for a while. Safe in any process.

    Args:
        library: returns the current library.
        derived: the store of the results.
    """

    def __init__(self, library: Callable[[], Library], derived: DerivedFiles) -> None:
        self._library = library
        self._derived = derived

    def of(self, a: str, b: str, on_frame: OnFrame = lambda done, total: None) -> Comparison:
        """Compare two videos, or return the stored comparison.

        Args:
            on_frame: called with the finished frames and the total. Its exception stops the work and leaves no file.

        Raises:
            BadRequest: both ids are the same.
            NotFound, DamagedVideo, ReadOnly, ClipError: one of the videos is missing or unreadable.
            DiskFull: no room for the clip.
        """
        if a == b:
            raise BadRequest("compare", "needs two different videos.")
        before, after = self._library().get(a), self._library().get(b)
        kept = self._kept(before, after)
        return kept if kept is not None else self._make(before, after, on_frame)

    def clip_path(self, a: str, b: str) -> Path:
        """The clip of a stored comparison. Raises NotFound: there is none, or one of the videos is gone."""
        path = self._derived.find(_name(self._library().get(a), self._library().get(b), ".mp4"))
        if path is None:
            raise NotFound(f"There is no comparison of {a} and {b}.")
        return path

    def _kept(self, a: Video, b: Video) -> Comparison | None:
        clip, measured = (self._derived.find(_name(a, b, suffix)) for suffix in (".mp4", ".json"))
        try:
            for path in filter(None, (clip, measured)):
                os.utime(path)  # the cleanup removes the files with the oldest use first
            return Comparison.from_document(orjson.loads(measured.read_bytes())) if clip and measured else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _make(self, a: Video, b: Video, on_frame: OnFrame) -> Comparison:
        """Make the clip, then the measurements taken during it. If only one of the two files exists, make both."""
        for suffix in (".mp4", ".json"):
            left = self._derived.find(_name(a, b, suffix))
            if left is not None:
                left.unlink(missing_ok=True)
        work = _Comparing(a, b, self._library().mp4_path(a.id), self._library().mp4_path(b.id), on_frame)
        self._derived.get(_name(a, b, ".mp4"), work.encode)
        if not work.done:  # another request has just made the same comparison
            return self._kept(a, b) or self._make(a, b, on_frame)
        comparison = work.comparison()
        self._derived.get(_name(a, b, ".json"), lambda path: path.write_bytes(orjson.dumps(asdict(comparison))))
        return comparison


def _name(a: Video, b: Video, suffix: str) -> str:
    """The name of a derived file. It contains everything the file depends on."""
    hashes = "-".join(video.result.mp4_sha256[:12] for video in (a, b))
    return f"compare-{FORMAT}-{a.id}-{b.id}-{hashes}{suffix}"


class _Comparing:
    """One comparison in progress. It encodes the frames one at a time and collects the measurements."""

    def __init__(self, a: Video, b: Video, a_path: Path, b_path: Path, on_frame: OnFrame) -> None:
        self._a, self._b = a, b
        self._paths = a_path, b_path
        self._on_frame = on_frame
        self._same_size = (a.result.width, a.result.height) == (b.result.width, b.result.height)
        self._errors: list[int] = []
        self._values = a.result.width * a.result.height * 3
        self._ssim: list[float | None] = []
        self.done = False
        self.layout = lay_out(a, b, self._same_size)

    @property
    def _total(self) -> int:
        return max(self._a.result.num_frames, self._b.result.num_frames)

    def encode(self, path: Path) -> None:
        """Write the clip."""
        encode(self._frames(), self.layout.size, self._a.result.fps, path, "", SEEKABLE)
        self.done = True

    def _frames(self) -> Iterator[np.ndarray]:
        """The frames of the clip; each pair is measured before it is encoded."""
        pairs = zip_longest(*(clip.stream(path) for path in self._paths))
        for done, (a, b) in enumerate(pairs, start=1):
            heat = None
            if self._same_size and a is not None and b is not None:
                self._errors.append(metrics.squared_error(a, b))
                self._ssim.append(metrics.ssim(a, b))
                heat = metrics.heat_map(a, b)
            yield self.layout.compose(a, b, heat)
            self._on_frame(done, self._total)

    def comparison(self) -> Comparison:
        """The comparison, after all frames were encoded."""
        a, b, layout = self._a, self._b, self.layout
        known = [value for value in self._ssim if value is not None]
        return Comparison(
            a=a.id, b=b.id, a_sha256=a.result.mp4_sha256, b_sha256=b.result.mp4_sha256, num_frames=self._total,
            fps=a.result.fps, width=layout.size[0], height=layout.size[1], panels=layout.panels,
            psnr_db=tuple(_finite(metrics.psnr_db([error], self._values)) for error in self._errors),
            ssim=tuple(self._ssim), mean_ssim=float(np.mean(known)) if known else None,
            total_psnr_db=_finite(metrics.psnr_db(self._errors, self._values * len(self._errors))),
            notes=tuple(self._notes()))

    def _notes(self) -> Iterator[str]:
        a, b = self._a.result, self._b.result
        if not self._same_size:
            yield (f"A is {a.width}×{a.height} and B is {b.width}×{b.height}. Nothing is scaled, so their pixels "
                   "cannot be compared: there is no difference map, no PSNR and no SSIM.")
        elif not any(value is not None for value in self._ssim):
            yield f"SSIM needs {metrics.SSIM_WINDOW} pixels a side; these videos are {a.width}×{a.height}."
        if a.num_frames != b.num_frames:
            name, short = ("A", a.num_frames) if a.num_frames < b.num_frames else ("B", b.num_frames)
            measured = f", and only the first {short} are measured" if self._same_size else ""
            yield f"{name} ends after {short} of {self._total} frames: its place stays empty from there{measured}."
        if a.fps != b.fps:
            yield (f"A runs at {a.fps} and B at {b.fps} frames per second. They are shown frame by frame, "
                   f"at {a.fps}.")


def _finite(value: float) -> float | None:
    return None if value == float("inf") else value
