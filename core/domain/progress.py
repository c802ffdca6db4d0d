"""The progress of a job: the one value that travels from the model to the screen while it runs."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

PHASES = ("queued", "downloading", "loading", "denoising", "decoding", "encoding", "publishing")


@dataclass(frozen=True)
class Progress:
    """One report that a job is alive.

    Attributes:
        phase: one of `PHASES`; ValueError for anything else.
        done, total: steps when denoising, frames when decoding, bytes when downloading, else 0 of 0.
        preview: an animated WebP of all frames as they look now, or None if it did not change.
    """

    phase: str
    done: int = 0
    total: int = 0
    preview: bytes | None = None

    def __post_init__(self) -> None:
        """Check the phase: screens and documents know only the words of `PHASES`."""
        if self.phase not in PHASES:
            raise ValueError(f"{self.phase!r} is not a phase of a job")


OnProgress = Callable[[Progress], None]
"""Called with each `Progress`; raises `core.errors.Cancelled` to stop the job within one step."""

OnCheckpoint = Callable[[int, Callable[[], bytes]], None]
"""Called after each step, after `OnProgress`, with the steps done and a function. The function makes the checkpoint
from which the job can resume, and works only until this call returns. May raise `core.errors.Paused` to stop there."""

OnFrames = Callable[[np.ndarray], None]
"""Called with frames, uint8 (n, H, W, 3), in their order, while the next ones are being decoded. The first call has no
frames (0, H, W, 3), so a slow receiver can prepare. The frames do not change afterwards. May raise to stop."""
