"""The complete recipe of a run, and the one place that makes it from a request."""

import math
import secrets
import unicodedata
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from core.domain.models import NEGATIVE_PROMPT, ModelSpec, Range, find
from core.domain.modes import EXACT
from core.domain.request import VideoRequest
from core.errors import BadRequest

PROMPT_LIMIT = 2000
SEED_BITS = 63


@dataclass(frozen=True)
class Size:
    """The size of a video: the number of frames, and their pixels."""

    num_frames: int
    height: int
    width: int

    @property
    def area(self) -> int:
        """Pixels of one frame."""
        return self.height * self.width

    @property
    def pixels(self) -> int:
        """Pixels of all frames."""
        return self.num_frames * self.area


@dataclass(frozen=True)
class Recipe:
    """Exactly what runs. Nothing in it is None; the fields are those of `VideoRequest`."""

    prompt: str
    negative_prompt: str
    model: str
    num_frames: int
    num_inference_steps: int
    guidance_scale: float
    fps: int
    seed: int
    width: int
    height: int
    scheduler: str
    mode: str

    @property
    def size(self) -> Size:
        """Frames, height and width as one value."""
        return Size(self.num_frames, self.height, self.width)

    def of_size(self, size: Size) -> "Recipe":
        """The same recipe for a video of another size."""
        return replace(self, **asdict(size))

    @property
    def guided(self) -> bool:
        """Whether the model reads the negative prompt, too."""
        return self.guidance_scale > 1

    def document(self) -> dict[str, Any]:
        """The recipe as a JSON object, keys in the order of the fields."""
        return asdict(self)

    def request(self) -> VideoRequest:
        """The request for exactly this recipe."""
        return VideoRequest(**asdict(self))


@dataclass(frozen=True)
class Change:
    """One field in which two recipes differ: its name, and both values."""

    name: str
    before: Any
    after: Any


def changes(before: Recipe, after: Recipe) -> tuple[Change, ...]:
    """The fields in which two recipes differ, in their order."""
    pairs = ((f.name, getattr(before, f.name), getattr(after, f.name)) for f in fields(Recipe))
    return tuple(Change(name, old, new) for name, old, new in pairs if old != new)


def resolve(request: VideoRequest, models: dict[str, ModelSpec], default_model: str = "demo") -> Recipe:
    """Fill in defaults, draw the seed, and refuse impossible values. Nothing is rounded or clamped.

    Raises:
        BadRequest: a value is out of range, unknown, empty, too long or of the wrong type.
    """
    if request.model is not None and not isinstance(request.model, str):
        raise BadRequest("model", f"{request.model!r} is not a name.")
    spec = find(models, request.model if request.model is not None else default_model)
    asked = {name: value for name, value in asdict(request).items() if value is not None}
    full = Recipe(**{**asdict(spec.defaults), "negative_prompt": NEGATIVE_PROMPT, "mode": EXACT,
                     "seed": secrets.randbits(SEED_BITS), **asked, "model": spec.key})
    _check_text("prompt", full.prompt)
    if not full.prompt.strip():
        raise BadRequest("prompt", "is empty. Describe the video, for example: "
                                   f"{(spec.examples or ('a red ball bouncing',))[0]!r}.")
    _check_text("negative_prompt", full.negative_prompt)
    for name in ("num_frames", "num_inference_steps", "fps", "width", "height"):
        _check_number(name, getattr(full, name), getattr(spec.limits, name), spec.title, whole=True)
    _check_number("guidance_scale", full.guidance_scale, spec.limits.guidance_scale, spec.title, whole=False)
    _check_number("seed", full.seed, Range(0, 2**SEED_BITS - 1), spec.title, whole=True)
    _check_choice("scheduler", full.scheduler, spec.schedulers)
    _check_choice("mode", full.mode, spec.modes)
    return replace(full, guidance_scale=float(full.guidance_scale))


def _check_text(name: str, text: Any) -> None:
    if not isinstance(text, str):
        raise BadRequest(name, f"must be text, not {type(text).__name__}.")
    if len(text) > PROMPT_LIMIT:
        raise BadRequest(name, f"has {len(text):,} characters; at most {PROMPT_LIMIT:,} are accepted.")
    for position, character in enumerate(text):
        category = unicodedata.category(character)
        if category == "Cs" or (category == "Cc" and character not in "\n\r\t"):
            raise BadRequest(name, f"has the character U+{ord(character):04X} at position {position + 1}, "
                                   "which cannot be stored in a video; remove it.")


def _check_number(name: str, value: Any, allowed: Range, title: str, *, whole: bool) -> None:
    kind = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kind):
        raise BadRequest(name, f"{value!r} is not a {'whole ' if whole else ''}number.")
    if isinstance(value, float) and not math.isfinite(value):
        raise BadRequest(name, f"{value!r} is not a finite number.")
    if value in allowed:
        return
    if allowed.low <= value <= allowed.high:
        below = int(allowed.low + (value - allowed.low) // allowed.step * allowed.step)
        nearest = f"the nearest are {below} and {int(below + allowed.step)}"
        raise BadRequest(name, f"{value} is not a multiple of {allowed.step:g}, as {title} needs; {nearest}.")
    high = 2**SEED_BITS - 1 if name == "seed" else allowed.high
    bounds = f"{allowed.low:g} to {high:g}" if name != "seed" else f"0 to {high}"
    raise BadRequest(name, f"{value} is outside what {title} accepts: {bounds}.")


def _check_choice(name: str, key: Any, offered: tuple[str, ...]) -> None:
    if key not in offered:
        raise BadRequest(name, f"{key!r} is not offered; choose one of {', '.join(offered)}.")
