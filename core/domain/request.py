"""What a person asks for, as one frozen value, and the one place that decides what will run."""

import math
import secrets
import unicodedata
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from core.domain.models import NEGATIVE_PROMPT, SCHEDULERS, ModelSpec, Range, find
from core.domain.modes import EXACT, mode_of
from core.errors import BadRequest

PROMPT_LIMIT = 2000
SEED_BITS = 63


@dataclass(frozen=True)
class VideoRequest:
    """One video, asked for. None means: the model's default (for `seed`: draw one).

    After `resolve` nothing is None, and what stands here is exactly what runs.

    Attributes:
        guidance_scale: classifier-free guidance; 1 switches it off.
        fps: frames per second of the file; it does not change the frames.
        seed: 0 to 2**63 - 1.
        width, height: pixels.
        scheduler: a key of `core.domain.models.SCHEDULERS`.
        mode: a key of `core.domain.modes.MODES`.
    """

    prompt: str
    negative_prompt: str | None = None
    model: str | None = None
    num_frames: int | None = None
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    fps: int | None = None
    seed: int | None = None
    width: int | None = None
    height: int | None = None
    scheduler: str | None = None
    mode: str | None = None

    def document(self) -> dict[str, Any]:
        """The request as a JSON object, keys in the order of the fields."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "VideoRequest":
        """Read what `document` wrote; keys this version does not know are refused.

        Raises:
            BadRequest: not an object, an unknown key, or no prompt.
        """
        if not isinstance(document, dict) or "prompt" not in document:
            raise BadRequest("request", "must be an object with a prompt.")
        unknown = sorted(set(document) - {f.name for f in fields(cls)})
        if unknown:
            raise BadRequest("request", f"has unknown fields: {', '.join(unknown)}.")
        return cls(**document)


@dataclass(frozen=True)
class Change:
    """One field in which two requests differ: its name as in `VideoRequest`, and both values."""

    name: str
    before: Any
    after: Any


def changes(before: VideoRequest, after: VideoRequest) -> tuple[Change, ...]:
    """In what two requests differ, in the order of the fields."""
    pairs = ((f.name, getattr(before, f.name), getattr(after, f.name)) for f in fields(VideoRequest))
    return tuple(Change(name, old, new) for name, old, new in pairs if old != new)


def resolve(request: VideoRequest, models: dict[str, ModelSpec], default_model: str = "demo") -> VideoRequest:
    """Fill defaults, draw the seed, and refuse the impossible. Nothing is rounded or clamped.

    Raises:
        BadRequest: a value is out of range, unknown, empty, too long or of the wrong type.
    """
    if request.model is not None and not isinstance(request.model, str):
        raise BadRequest("model", f"{request.model!r} is not a name.")
    spec = find(models, request.model if request.model is not None else default_model)
    defaults = spec.defaults
    asked = {name: value for name, value in asdict(request).items() if value is not None}
    full = VideoRequest(**{**asdict(defaults), "negative_prompt": NEGATIVE_PROMPT, "mode": EXACT,
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
    if full.scheduler not in SCHEDULERS:
        raise BadRequest("scheduler", f"{full.scheduler!r} is not offered; choose one of {', '.join(SCHEDULERS)}.")
    mode_of(full.mode)
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
