"""The cost of a video before it is made, in the units that all families share: operations and bytes."""

import bisect
from collections.abc import Callable
from dataclasses import dataclass

from core.domain.recipe import Size

RESIDENT, MODEL_OFFLOAD, SEQUENTIAL_OFFLOAD = MEMORY_MODES = ("resident", "model offload", "sequential offload")
"""The places of the weights, fastest first. All weights are on the GPU; or only the working part (text encoder,
denoiser, decoder); or, of the denoiser, only the working layer. The others wait in main memory."""

HALF, SINGLE = 2, 4
"""Bytes a value takes: float16 on a GPU, float32 on a CPU."""

RESERVED_BYTES = {"cuda": 1 << 30, "cpu": 500_000_000}
"""Memory in addition to weights and activations. For CUDA: the context, workspaces and the gaps between tensors. On
a CPU: the process with its libraries. The figure for CUDA is an estimate, not yet measured on a GPU."""


@dataclass(frozen=True)
class Work:
    """Floating-point operations of a video, by phase."""

    text: int
    denoising: int
    decoding: int

    @property
    def total(self) -> int:
        """The sum of all phases."""
        return self.text + self.denoising + self.decoding


@dataclass(frozen=True)
class Memory:
    """Bytes of a model and of making one video with it.

    Attributes:
        text, denoiser, decoder: weights of the parts.
        denoising: the most that one call of the denoiser holds in addition to the weights.
        decoding: the same for the decoder, which decodes a few frames at a time.
        largest_layer: weights of the denoiser's largest layer.
        reserved: the memory that every video needs, of any size.
    """

    text: int
    denoiser: int
    decoder: int
    denoising: int
    decoding: int
    largest_layer: int
    reserved: int

    @property
    def weights(self) -> int:
        """The sum of all parts."""
        return self.text + self.denoiser + self.decoder

    def needed(self, memory_mode: str = RESIDENT) -> int:
        """The most memory that is in use at any moment, in one of `MEMORY_MODES`."""
        if memory_mode == RESIDENT:
            return self.reserved + self.weights + max(self.denoising, self.decoding)
        working = self.denoiser if memory_mode == MODEL_OFFLOAD else self.largest_layer
        return self.reserved + max(self.text, working + self.denoising, self.decoder + self.decoding)


def memory_mode(needs: Memory, free_bytes: int | None) -> str | None:
    """The fastest of `MEMORY_MODES` that fits into `free_bytes`, or None if none fits.

    Args:
        free_bytes: free memory before any of the model is there. None: it is unknown, or it is main memory, where
            weights have no other place; the answer is resident then.
    """
    if free_bytes is None:
        return RESIDENT
    return next((mode for mode in MEMORY_MODES if needs.needed(mode) <= free_bytes), None)


def after_failure(needs: Memory, free_bytes: int) -> int:
    """The bytes that a smaller video may use, after one that `needs` this ran out of memory.

    The estimate was too low, or less memory is usable than reported. So the limit is at most half as much in
    addition to the weights.
    """
    return min(free_bytes, needs.needed() - max(needs.denoising, needs.decoding) // 2)


def nearest_that_fits(size: Size, side: int, needs: Callable[[Size], Memory], device: str,
                      free_bytes: int) -> tuple[Size, ...]:
    """The sizes that would fit into `free_bytes` in place of one that does not.

    They are the most frames of that size, and the largest size of about that shape with that many frames. If
    neither fits, it is the largest size with one frame; if that does not fit, there are none.

    Args:
        side: the model works in steps of this many pixels along a side.
        needs: the memory that a video of a size needs.
        device: "cuda" or "cpu"; on a CPU the weights have no other place than main memory.
    """
    def sized(num_frames: int, rows: int) -> Size:
        return Size(num_frames, rows * side, max(side, round(size.width * rows / size.height) * side))

    def fits(asked: Size) -> bool:
        found = needs(asked)
        return (found.needed() <= free_bytes) if device == "cpu" else memory_mode(found, free_bytes) is not None

    def most_rows(num_frames: int) -> tuple[Size, ...]:
        rows = _most((size.height - 1) // side, lambda rows: fits(sized(num_frames, rows)))
        return (sized(num_frames, rows),) if rows else ()

    frames = _most(size.num_frames - 1, lambda count: fits(Size(count, size.height, size.width)))
    shorter = (Size(frames, size.height, size.width),) if frames else ()
    return (shorter + most_rows(size.num_frames)) or most_rows(1)


def _most(high: int, fits: Callable[[int], bool]) -> int:
    """The largest number from 1 to `high` that fits, if all smaller ones fit too; 0 if none fits."""
    return bisect.bisect_left(range(1, high + 1), True, key=lambda number: not fits(number))
