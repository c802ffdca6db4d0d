"""The modes of making a video, as rows. They differ in speed and in how close they are to the library's arithmetic."""

from dataclasses import dataclass
from typing import Any

from core.errors import BadRequest

REFERENCE, EXACT, FAST = "reference", "exact", "fast"

DECODED_PIXELS = {"cuda": 1 << 18, "cpu": 1 << 17}
"""The approximate number of pixels decoded at once. Without this limit the decoder's activations would be the peak of
memory. On a CPU a small number is also faster."""

REFERENCE_PIXELS = 1 << 18
"""The same in reference mode, on every device. It decides the last bit of a frame, so it never changes."""


@dataclass(frozen=True)
class ModeSpec:
    """One mode.

    Attributes:
        key: its name everywhere: request, sidecar, receipt, command line.
        help: the gain and the loss for a person, in one line.
        network: True: our own network, images with their channels last; False: the library's forward.
        interval: run the full network once every `interval` steps; 1: always; 2.5: in two of five. The other steps
            compute only the last layers (DeepCache, Ma et al. 2023, arXiv 2312.00858).
        depth: the number of these last layers.
        guided: the part of the steps, from and to, in which the prompt is compared with the negative prompt
            (Kynkäänniemi et al. 2024, arXiv 2404.07724). Outside it, each step is half the work.
        identical_on: devices where a test shows that the same machine makes the same pixels again
            (tests/test_modes.py). On other devices the mode is called equivalent before a person chooses it. "cuda"
            belongs here after tests/test_gpu.py has passed on a GPU.
    """

    key: str
    title: str
    help: str
    network: bool = True
    interval: float = 1
    depth: int = 1
    guided: tuple[float, float] = (0.0, 1.0)
    identical_on: tuple[str, ...] = ("cpu",)

    def document(self, device: str) -> dict[str, Any]:
        """A receipt's record of the mode: every setting that can change the frames.

        Args:
            device: "cpu" or "cuda". On a CPU another library computes linear layers, and fewer frames are decoded
                at once. Receipts older than this change do not have these two keys.
        """
        if not self.network:
            return {"mode": self.key}
        cpu = {"linear": "oneDNN", "decoded_pixels": DECODED_PIXELS["cpu"]} if device == "cpu" else {}
        return {"mode": self.key, "layout": "channels last", **cpu, "interval": self.interval,
                "depth": self.depth, "guided": list(self.guided)}


MODES: dict[str, ModeSpec] = {
    row.key: row
    for row in (
        ModeSpec(EXACT, "Exact", "Every step in full, equal to the reference up to rounding."),
        ModeSpec(FAST, "Fast", "Most of the model runs at two of five steps: quicker, and details may differ.",
                 interval=2.5, depth=1, guided=(0.0, 1.0)),
        ModeSpec(REFERENCE, "Reference", "The arithmetic of the diffusers library, bit for bit, and slower; "
                                         "as videos were made before there were modes.", network=False),
    )
}


@dataclass(frozen=True)
class Step:
    """One step of a plan: full, or with values cached by the last full step; with guidance or without."""

    whole: bool = True
    guided: bool = True


def mode_of(key: str | None) -> ModeSpec:
    """The row of `key`; None means the reference, which ran before there were modes.

    Raises:
        BadRequest: no such mode; the sentence lists the known ones.
    """
    if key is None:
        return MODES[REFERENCE]
    if key not in MODES:
        raise BadRequest("mode", f"{key!r} is not offered; choose one of {', '.join(MODES)}.")
    return MODES[key]


def plan(mode: ModeSpec, num_inference_steps: int, guidance_scale: float) -> tuple[Step, ...]:
    """How each step is made. The first step is full; so is a step that needs more prompts than were cached."""
    steps: list[Step] = []
    due, cached_guided = 0.0, False  # due: the step at which the next full one comes
    for index in range(num_inference_steps):
        guided = guidance_scale > 1 and mode.guided[0] <= index / num_inference_steps < mode.guided[1]
        whole = index >= due or (guided and not cached_guided)
        if whole:
            due, cached_guided = (due if index >= due else index) + mode.interval, guided
        steps.append(Step(whole, guided))
    return tuple(steps)
