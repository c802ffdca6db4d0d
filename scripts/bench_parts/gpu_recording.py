"""Times the recording of a step, and replaces the recording on a machine without a GPU."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from core.diffusion.unet3d.graphs import Made, Record, Recorded, cuda_graph


@dataclass
class Timed:
    """A `Record` that measures its own time: CUDA graphs on a GPU, otherwise repeated calls."""

    device: torch.device
    seconds: float = 0.0

    def __call__(self, call: Callable[[], Made], pool: Any) -> Recorded:
        """Record it."""
        record: Record = cuda_graph if self.device.type == "cuda" else _made_again
        started = time.perf_counter()
        try:
            return record(call, pool)
        finally:
            if self.device.type == "cuda":
                torch.cuda.synchronize()
            self.seconds += time.perf_counter() - started


def _made_again(call: Callable[[], Made], pool: Any) -> Recorded:
    made = call()

    def replay() -> None:
        for place, values in zip(made, call(), strict=True):
            place.copy_(values)

    return Recorded(replay, made, pool=pool)
