"""A clip that is encoded while its frames are still being made: FFmpeg works beside whoever makes them."""

import queue
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np

from core.library.atomic_files import disk_errors
from core.library.media.encoder import H264, encode


class _Abandoned(Exception):
    """Nobody wants the rest; FFmpeg is ended."""


class Encoding:
    """One H.264 file in the making, as a context. What is left when it ends is nothing: take the file before.

    Frames are not copied: they wait as the views that were given, so they must not change. A side that is odd is
    padded by its last row or column, as 4:2:0 needs.
    """

    def __init__(self, fps: int) -> None:
        """Starts nothing yet."""
        self._fps = fps
        self._given: queue.SimpleQueue[np.ndarray | None] = queue.SimpleQueue()
        self._ended = self._abandoned = False
        self._making: Future[None] | None = None
        self._path = Path()
        self._open = ExitStack()

    def __enter__(self) -> "Encoding":
        """Begin with nothing."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """End FFmpeg, whatever it does, and remove what it wrote."""
        self._abandoned = True
        self._end()
        self._open.close()

    def add(self, frames: np.ndarray) -> None:
        """Give it the next frames, uint8 (n, H, W, 3), and do not wait. The first ones, also none, start FFmpeg.

        Raises:
            ClipError, DiskFull: the encoder has failed meanwhile.
        """
        if self._making is None:
            with disk_errors("the temporary folder"):
                folder = self._open.enter_context(tempfile.TemporaryDirectory(prefix="t2v-"))
            self._path = Path(folder) / "clip.mp4"
            height, width = (side + side % 2 for side in frames.shape[1:3])
            thread = self._open.enter_context(ThreadPoolExecutor(1, thread_name_prefix="encoding"))
            self._making = thread.submit(encode, self._frames(), (width, height), self._fps, self._path, "", H264)
        elif self._making.done():
            self._making.result()
        self._given.put(frames)

    def file(self) -> Path:
        """The whole file, once FFmpeg has ended; it is gone when the context is left.

        Raises:
            ClipError, DiskFull: there is none.
        """
        assert self._making is not None
        self._end()
        with disk_errors("the temporary folder"):
            self._making.result()
        return self._path

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._given.put(None)

    def _frames(self) -> Iterator[np.ndarray]:
        while (frames := self._given.get()) is not None:
            for frame in frames:
                if self._abandoned:
                    raise _Abandoned
                yield padded(frame)
        if self._abandoned:
            raise _Abandoned


def padded(frame: np.ndarray) -> np.ndarray:
    """A frame (H, W, 3) with even sides: an odd one gets its last row or column once more."""
    below, right = (side % 2 for side in frame.shape[:2])
    return np.pad(frame, ((0, below), (0, right), (0, 0)), mode="edge") if below or right else frame
