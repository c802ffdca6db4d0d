"""How long a video will take and how much memory it will need here, before it is made.

The work comes from the model's configuration (its family's `cost`); how fast this machine does it, from what it did.
Pure functions: who knows the history and the machine is `core.operations.planner`.
"""

import itertools
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.domain.modes import EXACT
from core.domain.recipe import Recipe
from core.domain.resources import Resources
from core.families.cost import Work

EFFICIENCY = {"cpu": 0.5, "cuda": 0.25}
"""How much of the speed of one large matrix product a whole video reaches, where nothing better is known. It
differs much between machines; the figure of CUDA is an assumption, not yet measured on a GPU."""

RECENT = 0.9
"""A run counts this much of the one after it: machines change, and so does what else they do."""


@dataclass(frozen=True)
class PastRun:
    """What one video took on this machine.

    Attributes:
        work: what it was, in floating-point operations; steps: of denoising; pixels: of all frames together.
        denoise_s, decode_s, encode_s: seconds; load_s: 0 where the model was warm.
        mode: a key of `core.domain.modes.MODES`.
    """

    work: Work
    steps: int
    pixels: int
    denoise_s: float
    decode_s: float
    encode_s: float
    load_s: float = 0.0
    mode: str = EXACT


@dataclass(frozen=True)
class Estimate:
    """What a request will take.

    Attributes:
        seconds: from the first step to the file; None while nothing at all is known of this machine.
        load_s: of these, for loading the model, where that is known to come first.
        memory_bytes: the most in use at any moment.
        runs: how many runs of this machine it rests on; 0: a first guess from the speed of a step or a product.
    """

    seconds: float | None
    load_s: float
    memory_bytes: int
    runs: int


def seconds(work: Work, steps: int, pixels: int, newest_first: Sequence[PastRun]) -> float:
    """Seconds without loading; at least one run is needed.

    A step takes a while of its own, however small the picture, and then grows with its operations: a small
    picture keeps a machine less busy than a large one. Decoding and encoding grow with their size alone. Each is
    fitted to the runs by the least sum of absolute errors, the newer ones heavier: so one run beside a busy
    neighbour, which may take twice as long, moves nothing.
    """
    a_step = _line([(_a_step(run.work, run.steps), run.denoise_s / run.steps) for run in newest_first])

    def pace(took: Callable[[PastRun], float], size: Callable[[PastRun], float]) -> float:
        return _median([(took(run) / size(run), RECENT**age) for age, run in enumerate(newest_first)])

    return (steps * (a_step[0] + a_step[1] * _a_step(work, steps))
            + work.decoding * pace(lambda run: run.decode_s, lambda run: run.work.decoding)
            + pixels * pace(lambda run: run.encode_s, lambda run: run.pixels))


def of_mode(runs: Sequence[PastRun], mode: str) -> Sequence[PastRun]:
    """Those runs that were made in that mode; where there are none, all of them."""
    return [run for run in runs if run.mode == mode] or runs


def first_guess(work: Work, resources: Resources, device: str, *, warm: bool) -> float | None:
    """Seconds on a machine that has made no video yet, or None where nothing at all is known of its speed.

    Args:
        device: "cuda" or "cpu".
        warm: whether the model is the one whose step was tried.
    """
    speed = resources.step_flops_per_s if warm else 0.0
    speed = speed or resources.flops_per_s * EFFICIENCY[device]
    return work.total / speed if speed else None


def loading(runs: Sequence[PastRun]) -> float:
    """Seconds that loading the model takes, from the runs that had to; 0 where none had."""
    found = [run.load_s for run in runs if run.load_s > 0.5]
    return statistics.median(found) if found else 0.0


def what_changes(before: Recipe, after: Recipe) -> dict[str, int]:
    """The fields, of frames and size, in which two recipes differ, with their new values."""
    size = {"width": after.width, "height": after.height}
    frames = {"num_frames": after.num_frames} if after.num_frames != before.num_frames else {}
    return {**frames, **(size if (after.width, after.height) != (before.width, before.height) else {})}


def in_words(changes: dict[str, int]) -> str:
    """Such a change for a sentence: `16 frames`, `192 × 192`, `4 frames of 192 × 192`."""
    frames = changes.get("num_frames")
    count = f"{frames} frame{'' if frames == 1 else 's'}" if frames else ""
    size = f"{changes['width']} × {changes['height']}" if "width" in changes else ""
    return " of ".join(filter(None, (count, size)))


def _a_step(work: Work, steps: int) -> float:
    return (work.text + work.denoising) / steps


def _line(newest_first: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Offset and slope, neither negative, of the line from which the points (x, y) are the least factors away.

    Tried are the lines through two of the points, through one and the origin, and the level ones. A factor counts
    by its logarithm, so that twice too long is as bad as half.
    """
    lines = [(0.0, y / x) for x, y in newest_first] + [(y, 0.0) for _, y in newest_first]
    for (x, y), (other_x, other_y) in itertools.combinations(newest_first, 2):
        if x != other_x:
            slope = (other_y - y) / (other_x - x)
            lines.append((y - slope * x, slope))
    weighted = [(x, y, RECENT**age) for age, (x, y) in enumerate(newest_first)]

    def away(line: tuple[float, float]) -> float:
        return sum(weight * abs(math.log((line[0] + line[1] * x) / y)) for x, y, weight in weighted)

    return min((line for line in lines if min(line) >= 0), key=away)


def _median(weighted: Sequence[tuple[float, float]]) -> float:
    """The value at which half of the weight lies below."""
    ordered = sorted(weighted)
    half, passed = sum(weight for _, weight in ordered) / 2, 0.0
    for value, weight in ordered:
        passed += weight
        if passed >= half:
            return value
    return ordered[-1][0]
