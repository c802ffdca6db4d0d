"""The capacity of a worker's device, as the worker reports it."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Resources:
    """The state of a device at one moment; 0 if a value is unknown.

    Attributes:
        total_bytes: the memory of the GPU, or the main memory that this process may use.
        free_bytes: the memory that a job may use now: the free part and the part that the worker holds.
        flops_per_s: floating-point operations a second in one large matrix product of the model's precision.
        step_flops_per_s: the same in a step of the warm model, measured while the worker was idle.
    """

    total_bytes: int = 0
    free_bytes: int = 0
    flops_per_s: float = 0.0
    step_flops_per_s: float = 0.0


def main_memory() -> int:
    """Bytes of main memory, as the system reports it; 0 if unknown."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 0  # Windows
