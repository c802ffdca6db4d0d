"""What a worker's device has to offer, as it says itself."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Resources:
    """One look at a device; 0 where it does not say.

    Attributes:
        total_bytes: its memory: of the GPU, or what this process may use of the machine's.
        free_bytes: what a job may use of it now: what is free, and what the worker itself holds.
        flops_per_s: floating-point operations a second in one large matrix product of the model's precision.
        step_flops_per_s: the same of a step of the warm model, tried while nothing else was to be done.
    """

    total_bytes: int = 0
    free_bytes: int = 0
    flops_per_s: float = 0.0
    step_flops_per_s: float = 0.0


def main_memory() -> int:
    """Bytes of main memory, as the system tells every process; 0 where it does not."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 0  # Windows
