"""Where weights are while a model works: all on its device, or only the working part there and the rest in main memory.

A weight never changes, so to remove it from the device means to drop the copy there. The copy has the values and
the layout of the original, so the sums are the same. Every memory mode makes the same frames; a test shows it.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

Around = Callable[..., contextlib.AbstractContextManager[None]]
"""Called with modules, before they work: a context in which their weights are on the device."""


def here(*_: torch.nn.Module) -> contextlib.AbstractContextManager[None]:
    """The weights are there already."""
    return contextlib.nullcontext()


def visiting(device: torch.device) -> Around:
    """An `Around` that holds copies of the weights on `device` while they are used."""

    @contextlib.contextmanager
    def around(*modules: torch.nn.Module) -> Iterator[None]:
        tensors = [tensor for module in modules for tensor in (*module.parameters(), *module.buffers())]
        originals = [tensor.data for tensor in tensors]
        try:
            with torch.inference_mode(False):  # torch multiplies tensors that were made in that mode differently
                for tensor, original in zip(tensors, originals, strict=True):
                    tensor.data = original.to(device, copy=True)
            yield
        finally:
            for tensor, original in zip(tensors, originals, strict=True):
                tensor.data = original

    return around


def rest_on(module: torch.nn.Module, device: torch.device) -> None:
    """Move the weights to `device`. Weights that are already there do not move.

    This is not done in the inference mode in which a video is made, because torch multiplies tensors made in that
    mode differently. Otherwise a model that came back from main memory would make other frames than one that stayed.
    """
    with torch.inference_mode(False):
        module.to(device)


def free_bytes(device: torch.device) -> int | None:
    """Usable bytes: the free memory of a GPU and the part that this process holds; else main memory, if known."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass  # not a Linux, or one without this line
    return None
