"""The times at which a running job makes checkpoints, and the latest checkpoint."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Cadence:
    """How often: not before this many steps and this many seconds have passed since the last one.

    A lost worker then costs two seconds or one step, whichever is longer. A checkpoint takes some milliseconds to make,
    send and write; this stays below two thousandths of the time.
    """

    steps: int = 1
    seconds: float = 2.0


class LatestCheckpoint:
    """The checkpoints of one job. Not thread-safe.

    Attributes:
        latest: the last checkpoint, or b"".
        seq: counts them.
    """

    def __init__(self, cadence: Cadence) -> None:
        self.latest = b""
        self.seq = 0
        self._cadence = cadence
        self._step: int | None = None
        self._made_at = time.monotonic()

    def is_due(self, step: int) -> bool:
        """Whether it is time for one, after `step`."""
        if self._step is None:
            self._step = step - 1  # the first step of this attempt; loading the model is not its time
            self._made_at = time.monotonic()
        return (step - self._step >= self._cadence.steps
                and time.monotonic() - self._made_at >= self._cadence.seconds)

    def keep(self, step: int, make: Callable[[], bytes]) -> None:
        """Make one; it replaces the one before."""
        self.latest = make()
        self.seq += 1
        self._step, self._made_at = step, time.monotonic()
