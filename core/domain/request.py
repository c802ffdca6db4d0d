"""The request of a person: one frozen value whose fields may be empty."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from core.errors import BadRequest


@dataclass(frozen=True)
class VideoRequest:
    """A request for one video. None means: the model's default (for `seed`: draw one).

    `core.domain.recipe.resolve` makes a complete `Recipe` from it.

    Attributes:
        guidance_scale: classifier-free guidance; 1 switches it off.
        fps: frames per second of the file; it does not change the frames.
        seed: 0 to 2**63 - 1.
        width, height: pixels.
        scheduler: a key of the model's schedulers.
        mode: a key of the model's modes.
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
    def from_document(cls, document: Any) -> "VideoRequest":
        """Read the object that `document` wrote. Unknown keys are refused.

        Raises:
            BadRequest: not an object, an unknown key, or no prompt.
        """
        if not isinstance(document, dict) or "prompt" not in document:
            raise BadRequest("request", "must be an object with a prompt.")
        unknown = sorted(set(document) - {f.name for f in fields(cls)})
        if unknown:
            raise BadRequest("request", f"has unknown fields: {', '.join(unknown)}.")
        return cls(**document)
