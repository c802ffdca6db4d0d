"""Draws the next batch while the device learns from the current one."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")


def ahead(make: Callable[[int], T], numbers: Iterable[int]) -> Iterator[T]:
    """The results of `make` for the numbers, in their order. One thread makes them, one number ahead.

    An exception of `make` is raised at the place of its result.
    """
    with ThreadPoolExecutor(1) as thread:
        coming = None
        for number in numbers:
            before, coming = coming, thread.submit(make, number)
            if before is not None:
                yield before.result()
        if coming is not None:
            yield coming.result()


def ready_for(device: torch.device, part: torch.Tensor) -> torch.Tensor:
    """A tensor in main memory that a GPU can read in the background (pinned memory)."""
    return part.contiguous().pin_memory() if device.type == "cuda" else part
