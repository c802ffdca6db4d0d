"""How far a job is: the one value that travels from the model to the screen while it runs."""

from collections.abc import Callable
from dataclasses import dataclass

PHASES = ("queued", "downloading", "loading", "denoising", "decoding", "encoding", "publishing")


@dataclass(frozen=True)
class Progress:
    """One sign of life of a job.

    Attributes:
        phase: one of `PHASES`.
        done, total: steps when denoising, frames when decoding, bytes when downloading, else 0 of 0.
        preview: an animated WebP of all frames as they look now, or None when it did not change.
    """

    phase: str
    done: int = 0
    total: int = 0
    preview: bytes | None = None


OnProgress = Callable[[Progress], None]
"""Called with each `Progress`; raises `core.errors.Cancelled` to stop the job within one step."""

OnCheckpoint = Callable[[int, Callable[[], bytes]], None]
"""Called after each step, after `OnProgress`, with the steps done and a function that makes the checkpoint from
which the job can go on; it works only until this call returns. May raise `core.errors.Paused` to stop there."""
