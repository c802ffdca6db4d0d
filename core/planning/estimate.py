"""The time and the memory that a video will take here, before it is made.

The work comes from the model's configuration (its family's `cost`); the speed comes from earlier runs of this machine.
These are pure functions. `core.operations.planner` knows the history and the machine.
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
"""The part of the speed of one large matrix product that a complete video reaches, if nothing better is known. It
differs much between machines. The figure of CUDA is an assumption, not yet measured on a GPU."""

RECENT = 0.9
"""Weight ratio between consecutive runs: recent ones count more, because machines and their load change."""


@dataclass(frozen=True)
class PastRun:
    """The cost of one video on this machine.

    Attributes:
        work: in floating-point operations; steps: of denoising; pixels: of all frames.
        denoise_s, decode_s, encode_s: seconds; load_s: 0 if the model was warm.
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
    """The time and memory that a request will take.

    Attributes:
        seconds: from the start of loading to the file; None while nothing is known of this machine.
        load_s: the part of them for loading the model, if the model must be loaded first.
        memory_bytes: the peak of used memory.
        runs: the number of runs of this model behind the estimate. It is 0 for a first guess, from other
            models' runs or the speed of a step or a product.
    """

    seconds: float | None
    load_s: float
    memory_bytes: int
    runs: int


def seconds(work: Work, steps: int, pixels: int, newest_first: Sequence[PastRun]) -> float:
    """Seconds without loading; at least one run is needed.

    A step has a fixed time, and a time that grows with its operations. A small picture uses less of a machine than
    a large one. Decoding and encoding grow only with their size. The step time is a line through the runs
    with the least sum of factors; decoding and encoding use a median. Newer runs weigh more. So one slow run beside
    a busy neighbour, even twice as long, changes nothing.
    """
    a_step = _line([(_a_step(run.work, run.steps), run.denoise_s / run.steps) for run in newest_first])

    def pace(took: Callable[[PastRun], float], size: Callable[[PastRun], float]) -> float:
        return _median([(took(run) / size(run), RECENT**age) for age, run in enumerate(newest_first)])

    return (steps * (a_step[0] + a_step[1] * _a_step(work, steps))
            + work.decoding * pace(lambda run: run.decode_s, lambda run: run.work.decoding)
            + pixels * pace(lambda run: run.encode_s, lambda run: run.pixels))


def of_mode(runs: Sequence[PastRun], mode: str) -> Sequence[PastRun]:
    """The runs in that mode; all runs if there are none."""
    return [run for run in runs if run.mode == mode] or runs


def first_guess(work: Work, resources: Resources, device: str, *, warm: bool) -> float | None:
    """Seconds on a machine that has made no video yet, or None if its speed is unknown.

    Args:
        device: "cuda" or "cpu".
        warm: whether a step of this model was tried.
    """
    speed = resources.step_flops_per_s if warm else 0.0
    speed = speed or resources.flops_per_s * EFFICIENCY[device]
    return work.total / speed if speed else None


def loading(runs: Sequence[PastRun]) -> float:
    """Seconds that loading the model takes: the median of the runs that loaded it; 0 if there are none."""
    found = [run.load_s for run in runs if run.load_s > 0.5]
    return statistics.median(found) if found else 0.0


def what_changes(before: Recipe, after: Recipe) -> dict[str, int]:
    """The fields of the size (frames, width, height) in which two recipes differ, with their new values."""
    size = {"width": after.width, "height": after.height}
    frames = {"num_frames": after.num_frames} if after.num_frames != before.num_frames else {}
    return {**frames, **(size if (after.width, after.height) != (before.width, before.height) else {})}


def in_words(changes: dict[str, int]) -> str:
    """The changes as words of a sentence: `16 frames`, `192 × 192`, `4 frames of 192 × 192`."""
    frames = changes.get("num_frames")
    count = f"{frames} frame{'' if frames == 1 else 's'}" if frames else ""
    size = f"{changes['width']} × {changes['height']}" if "width" in changes else ""
    return " of ".join(filter(None, (count, size)))


def _a_step(work: Work, steps: int) -> float:
    return (work.text + work.denoising) / steps


def _line(newest_first: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Offset and slope, both at least 0, of the line with the least weighted sum of factors to the points (x, y).

    It tries the lines through two points, through one point and the origin, and the horizontal ones. A factor counts
    by its logarithm, so twice too long is as bad as half.
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
    """The weighted median: the first value at which half of the weight is reached."""
    ordered = sorted(weighted)
    half, passed = sum(weight for _, weight in ordered) / 2, 0.0
    for value, weight in ordered:
        passed += weight
        if passed >= half:
            return value
    return ordered[-1][0]
