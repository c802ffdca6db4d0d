"""Encodes a clip while its next frames are being made: FFmpeg runs in parallel to the producer of the frames."""

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
    """The rest is not needed any more; this ends FFmpeg."""


class Encoding:
    """One H.264 file in progress, as a context. The file is deleted on exit; read it inside the context.

    Frames are not copied: the queue holds the given views, so the caller must not change them. An odd side is padded
    by its last row or column, because 4:2:0 needs even sides.
    """

    def __init__(self, fps: int) -> None:
        """Starts no process yet."""
        self._fps = fps
        self._given: queue.SimpleQueue[np.ndarray | None] = queue.SimpleQueue()
        self._ended = self._abandoned = False
        self._making: Future[None] | None = None
        self._path = Path()
        self._open = ExitStack()

    def __enter__(self) -> "Encoding":
        """Open the context; the first `add` starts FFmpeg."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """End FFmpeg in any state, and remove its file."""
        self._abandoned = True
        self._end()
        self._open.close()

    def add(self, frames: np.ndarray) -> None:
        """Queue the next frames, uint8 (n, H, W, 3), and return at once. The first call starts FFmpeg, also with n = 0.

        Raises:
            ClipError, DiskFull: the encoder has failed since the last call.
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
        """The complete file, after FFmpeg has ended. It is deleted when the context ends.

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
    """A frame (H, W, 3) with even sides: an odd side gets its last row or column twice."""
    below, right = (side % 2 for side in frame.shape[:2])
    return np.pad(frame, ((0, below), (0, right), (0, 0)), mode="edge") if below or right else frame
