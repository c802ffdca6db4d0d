"""The capacity of the device: its memory, and how fast it multiplies."""

import time
from functools import cache
from pathlib import Path

import torch

from core.diffusion.device import dtype_of
from core.diffusion.placement import free_bytes
from core.domain.recipe import Recipe, Size
from core.domain.resources import Resources, main_memory
from core.families import cost
from core.families.family import Shape
from core.planning.estimate import first_guess

_SIDE = {"cpu": 768, "cuda": 4096}
_TURNS = 5

LONGEST_TRIAL_S = 2.0
"""A step that takes longer is not tried: on a slow machine the trial would cost too much."""


def resources(device: torch.device) -> Resources:
    """Read the state of the device. Its speed is measured the first time only."""
    total = torch.cuda.mem_get_info(device)[1] if device.type == "cuda" else _at_most(main_memory())
    return Resources(total, free_bytes(device) or 0, speed(device))


@cache
def speed(device: torch.device) -> float:
    """Floating-point operations a second in a product of two large matrices: the best of a few, about 10 ms."""
    side = _SIDE[device.type]
    left, right = (torch.ones((side, side), device=device, dtype=dtype_of(device)) for _ in range(2))
    best = float("inf")
    for _ in range(_TURNS):
        started = time.perf_counter()
        product = left @ right
        product[0, 0].item()  # waits for a GPU
        best = min(best, time.perf_counter() - started)
    return 2 * side**3 / best


def to_be_tried(shape: Shape, recipe: Recipe, device: torch.device) -> int:
    """Operations of one step of a recipe, or 0 if it would probably take longer than `LONGEST_TRIAL_S`."""
    step = shape.work(recipe.size, 1, recipe.guided)
    guess = first_guess(step, resources(device), device.type, warm=False)
    return step.denoising if guess and guess <= LONGEST_TRIAL_S else 0


def offers(shape: Shape, recipe: Recipe, device: torch.device) -> str:
    """The sizes that should fit after a recipe ran out of memory: a space and a sentence, or "" if unknown."""
    free = free_bytes(device)
    if not free:
        return ""

    def needs(size: Size) -> cost.Memory:
        return shape.memory(size, recipe.guided, device.type)

    limit = cost.after_failure(needs(recipe.size), free)
    fitting = cost.nearest_that_fits(recipe.size, shape.pixels_per_latent, needs, device.type, limit)
    listed = " or ".join(f"{size.num_frames} frame{'s' * (size.num_frames > 1)} of {size.width}×{size.height}"
                         for size in fitting)
    return f" About {free / 1e9:.1f} GB are free; {listed} should fit." if listed else ""


def _at_most(total: int) -> int:
    """The main memory that this process may use. A container (cgroup) or a process limit may allow less."""
    limits = [total]
    try:
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    except (OSError, ValueError):
        pass  # no such limit
    try:
        import resource
        limits.append(resource.getrlimit(resource.RLIMIT_AS)[0])
    except ImportError:  # Windows
        pass
    return min((limit for limit in limits if limit > 0), default=0)
