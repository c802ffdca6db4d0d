"""A seed audition, as it is asked for: one request with several seeds, each in fewer steps, to choose from.

The noise is a function of the seed alone, so a run that is finished later, with all its steps, begins with the
noise that its tile began with.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

from core.domain.request import SEED_BITS, VideoRequest
from core.errors import BadRequest

COUNTS = (4, 6, 9)
FEWEST, MOST = 2, 9
FEWEST_STEPS = 4


@dataclass(frozen=True)
class Audition:
    """What an audition tries.

    Attributes:
        seeds: in the order of the tiles: that of the request, and those after it.
        num_inference_steps: of each short run.
        noise_sha256: of the initial noise of each seed, as in a receipt; empty until they have been made.
    """

    seeds: tuple[int, ...]
    num_inference_steps: int
    noise_sha256: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """The audition as a JSON object."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "Audition":
        """Read what `document` wrote."""
        return cls(tuple(document["seeds"]), document["num_inference_steps"],
                   tuple(document.get("noise_sha256", ())))


def short_steps(num_inference_steps: int) -> int:
    """How many steps a short run has where nobody chose: a third, at least `FEWEST_STEPS`, never more than all."""
    return min(num_inference_steps, max(FEWEST_STEPS, math.ceil(num_inference_steps / 3)))


def audition_of(request: VideoRequest, seeds: int, num_inference_steps: int | None = None) -> Audition:
    """An audition of a resolved request.

    Args:
        seeds: how many, `FEWEST` to `MOST`.
        num_inference_steps: of each short run; None: `short_steps` of the request's.

    Raises:
        BadRequest: a number it cannot have; the field is "seeds" or "audition_steps".
    """
    if isinstance(seeds, bool) or not isinstance(seeds, int) or not FEWEST <= seeds <= MOST:
        raise BadRequest("seeds", f"{seeds!r} is not a number of seeds to try: {FEWEST} to {MOST}.")
    full = request.num_inference_steps
    steps = short_steps(full) if num_inference_steps is None else num_inference_steps
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= full:
        raise BadRequest("audition_steps", f"{steps!r} is not a number of steps to try with: 1 to {full}, "
                                           "the steps of the finished video.")
    return Audition(tuple((request.seed + number) % 2**SEED_BITS for number in range(seeds)), steps)
