"""The next batch is drawn while the device learns from this one."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")


def ahead(make: Callable[[int], T], numbers: Iterable[int]) -> Iterator[T]:
    """What `make` gives for each of the numbers, in their order, made by one thread, one number ahead.

    What `make` raises is raised where its result would have come.
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
    """A tensor in main memory, where a GPU can fetch it without making anybody wait."""
    return part.contiguous().pin_memory() if device.type == "cuda" else part
