"""Where weights are while a model works: all on its device, or in main memory but for the part that works.

A weight never changes, so leaving the device means forgetting the copy there. The copy has the values and the
layout of the original, so the sums are the same: every memory mode makes the same frames, which is tested.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

Around = Callable[..., contextlib.AbstractContextManager[None]]
"""Called with modules, before they are: a context in which their weights are where they must be."""


def here(*_: torch.nn.Module) -> contextlib.AbstractContextManager[None]:
    """The weights are there already."""
    return contextlib.nullcontext()


def visiting(device: torch.device) -> Around:
    """An `Around` that has copies of the weights on `device` while they are used."""

    @contextlib.contextmanager
    def around(*modules: torch.nn.Module) -> Iterator[None]:
        tensors = [tensor for module in modules for tensor in (*module.parameters(), *module.buffers())]
        originals = [tensor.data for tensor in tensors]
        try:
            with torch.inference_mode(False):  # torch multiplies what was made in that mode in another way
                for tensor, original in zip(tensors, originals, strict=True):
                    tensor.data = original.to(device, copy=True)
            yield
        finally:
            for tensor, original in zip(tensors, originals, strict=True):
                tensor.data = original

    return around


def rest_on(module: torch.nn.Module, device: torch.device) -> None:
    """Have the weights rest on `device`. What is there already does not move.

    Not in the inference mode that a video is made in: torch multiplies what was made in it in another way, and a
    model that came back from main memory would make other frames than one that never left.
    """
    with torch.inference_mode(False):
        module.to(device)


def free_bytes(device: torch.device) -> int | None:
    """What could be used: what is free of a GPU and what this process holds of it; else main memory, if known."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass  # not a Linux, or one that does not say
    return None
