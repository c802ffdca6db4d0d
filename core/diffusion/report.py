"""Reports while a video is made: a check of its values, its progress, and sometimes a preview."""

import time
from collections.abc import Callable

import numpy as np
import torch

from core.diffusion import preview
from core.diffusion.frames import check_finite
from core.diffusion.model import Model
from core.domain.progress import OnFrames, OnProgress, Progress
from core.domain.recipe import Size

PREVIEW_INTERVAL_S = 0.25
PREVIEW_COST = 50
"""Between two previews passes at least `PREVIEW_INTERVAL_S`, and at least this many times the cost of one."""


class ProgressReport:
    """The progress of one video: its steps, then the frames of each decoded chunk."""

    def __init__(self, model: Model, size: Size, on_progress: OnProgress, on_frames: OnFrames = lambda frames: None,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._model = model
        self._size = size
        self._on_progress = on_progress
        self._on_frames = on_frames
        self._clock = clock
        self._next_preview = 0.0
        self._clean = torch.empty(0)
        self._launched: torch.cuda.Event | None = None
        self._decoded: list[np.ndarray] = []

    def step(self, done: int, total: int, latents: torch.Tensor, clean: torch.Tensor) -> None:
        """Report a step; see `core.diffusion.sampler.OnStep`."""
        if self._model.source.device.type == "cpu":  # on a GPU this check would make every step wait for its result
            check_finite(latents)
        else:
            self._wait_for_the_step_before()
        self._clean = clean
        self._on_progress(Progress("denoising", done, total, self._preview(always=done in (1, total))))

    def decoding(self, latents: torch.Tensor) -> None:
        """Report the end of the steps, with their latents (1, C, F, h, w)."""
        self._clean = latents[0].permute(1, 0, 2, 3).cpu()  # now, while a GPU has no other work queued
        self._on_frames(np.empty((0, self._size.height, self._size.width, 3), np.uint8))

    def decoded(self, frames: np.ndarray, done: int) -> None:
        """Pass the frames on, then report progress; see `core.diffusion.model.OnDecoded`."""
        self._on_frames(frames)
        self._decoded.extend(frames)
        total = self._size.num_frames
        picture = self._preview() if done < total else None  # the video itself follows the last frames
        self._on_progress(Progress("decoding", done, total, picture))

    def _wait_for_the_step_before(self) -> None:
        """Wait until the step before is finished. The GPU then has one step in work and the next one queued.

        Launching a replayed step takes almost no time. Without this wait, all steps would be reported as done
        while the first one runs, and a cancel would wait for the last one.
        """
        before, self._launched = self._launched, torch.cuda.Event(blocking=True)
        self._launched.record(torch.cuda.current_stream(self._model.source.device))
        if before is not None:
            before.synchronize()

    def _preview(self, *, always: bool = False) -> bytes | None:
        if not always and self._clock() < self._next_preview:
            return None
        clean = self._clean.cpu()  # waits until a GPU has made the step; the preview does not cause that cost
        started = self._clock()
        picture = preview.strip(clean, self._model.preview_factors, self._decoded)
        ended = self._clock()
        self._next_preview = ended + max(PREVIEW_INTERVAL_S, PREVIEW_COST * (ended - started))
        return picture
