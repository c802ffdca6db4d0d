"""Latents become frames, passed on while the next ones are decoded; frames that are no picture are refused."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from core.diffusion.model import OnDecoded
from core.domain.recipe import Size
from core.errors import InvalidFrames

FLAT_LEVELS = 2
"""A clip whose values stay within this many of 255 levels shows nothing."""

AHEAD = 1
"""The number of chunks launched before the first one must have arrived: a GPU then never waits for the next."""


@dataclass(frozen=True)
class _Chunk:
    """Frames on their way into main memory.

    Attributes:
        frames: (n, H, W, 3) uint8, their place in main memory.
        finite: one value in main memory: whether all decoded values are finite.
        copied: the event on the GPU after which both have arrived; None on a CPU, where both are already there.
    """

    frames: torch.Tensor
    finite: torch.Tensor
    copied: "torch.cuda.Event | None"

    def has_arrived(self) -> bool:
        return self.copied is None or self.copied.query()

    def wait(self) -> np.ndarray:
        if self.copied is not None:
            self.copied.synchronize()
        if not bool(self.finite):
            raise _not_finite()
        return self.frames.numpy()


def gather(images: Iterable[torch.Tensor], size: Size, device: torch.device, on_decoded: OnDecoded) -> np.ndarray:
    """Decoded images, chunk after chunk, as frames (F, H, W, 3) uint8.

    The rounding is the same as in the stock pipelines: x / 2 + 0.5, clamped to [0, 1], times 255, to the nearest.
    It runs on the device of the model, so few bytes leave a GPU. The GPU decodes the next chunk during the copy.

    Args:
        images: (n, 3, H, W) each, taken one by one.
    """
    on_gpu = device.type == "cuda"
    frames = torch.empty((size.num_frames, size.height, size.width, 3), dtype=torch.uint8, pin_memory=on_gpu)
    coming: deque[_Chunk] = deque()
    launched = done = 0
    for image in images:
        coming.append(_leaving(image.float(), frames[launched:launched + len(image)]))
        launched += len(image)
        while coming and (launched >= size.num_frames or len(coming) > AHEAD or coming[0].has_arrived()):
            chunk = coming.popleft().wait()
            done += len(chunk)
            on_decoded(chunk, done)
    return frames.numpy()


def _leaving(image: torch.Tensor, place: torch.Tensor) -> _Chunk:
    """Turn a decoded image (n, 3, H, W) into colours and start its copy to `place` (n, H, W, 3)."""
    on_gpu = image.device.type == "cuda"
    colours = ((image * 0.5 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
    finite = torch.empty((), dtype=torch.bool, pin_memory=on_gpu)
    finite.copy_(torch.isfinite(image).all(), non_blocking=on_gpu)
    place.copy_(colours.contiguous(), non_blocking=on_gpu)
    copied = None
    if on_gpu:
        copied = torch.cuda.Event()
        copied.record(torch.cuda.current_stream(image.device))
    return _Chunk(place, finite, copied)


def check_finite(values: torch.Tensor) -> None:
    """Raise InvalidFrames if a value is not a number or is infinite."""
    if not bool(torch.isfinite(values).all()):
        raise _not_finite()


def _not_finite() -> InvalidFrames:
    return InvalidFrames("The model produced values that are not numbers, so there is no picture. "
                         "Try another scheduler, a lower guidance scale or more steps.")


def check_not_flat(frames: np.ndarray) -> None:
    """Raise InvalidFrames if frames (F, H, W, 3) show nothing."""
    low, high = frames.min(axis=(0, 1, 2)).astype(int), frames.max(axis=(0, 1, 2)).astype(int)
    if (high - low <= FLAT_LEVELS).all():
        raise InvalidFrames("The model produced a clip of one flat colour. Try another seed, another prompt or "
                            "more steps.")
