"""The modes a video can be made in, as rows: how near to the library's own arithmetic, and how fast."""

from dataclasses import dataclass
from typing import Any

from core.errors import BadRequest

REFERENCE, EXACT, FAST = "reference", "exact", "fast"

DECODED_PIXELS = {"cuda": 1 << 18, "cpu": 1 << 17}
"""About how many pixels are decoded at once: the decoder's activations would otherwise be the peak of memory. On a
processor few are faster, too."""

REFERENCE_PIXELS = 1 << 18
"""The same in reference mode, on every device: it decides the last bit of a frame, and stays what it was."""


@dataclass(frozen=True)
class ModeSpec:
    """One mode.

    Attributes:
        key: its name everywhere: request, sidecar, receipt, command line.
        help: what a person gives up and gains, in one line.
        network: made by our own network, images with their channels last; else by the library's forward.
        interval: of so many steps one is made whole; the others make only the last layers anew (DeepCache, Ma et
            al. 2023, arXiv 2312.00858). 1: all are whole; 2.5: two of five are.
        depth: how many of the last layers that is.
        guided: from which part of the steps to which the prompt is compared with the negative prompt (Kynkäänniemi
            et al. 2024, arXiv 2404.07724); outside it each step is half the work.
        identical_on: the devices on which a test has shown that a machine that makes such a video again makes the
            same pixels (tests/test_modes.py); elsewhere it is called equivalent before it is chosen. "cuda"
            belongs here once tests/test_gpu.py has passed on one.
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
        """What a receipt says of the mode: everything of it that can change the frames.

        Args:
            device: "cpu" or "cuda"; on a CPU linear layers are another library's, and fewer frames are decoded at
                once (receipts that are older than that say nothing of it).
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
    """One step of a plan: made whole or with what is kept from the last whole one, with guidance or without."""

    whole: bool = True
    guided: bool = True


def mode_of(key: str | None) -> ModeSpec:
    """The row of `key`; None is what ran before there were modes.

    Raises:
        BadRequest: no such mode; the sentence lists those there are.
    """
    if key is None:
        return MODES[REFERENCE]
    if key not in MODES:
        raise BadRequest("mode", f"{key!r} is not offered; choose one of {', '.join(MODES)}.")
    return MODES[key]


def plan(mode: ModeSpec, num_inference_steps: int, guidance_scale: float) -> tuple[Step, ...]:
    """How each step is made. The first is whole, and so is one that needs more prompts than were kept."""
    steps: list[Step] = []
    due, kept_guided = 0.0, False  # the step at which the next whole one comes
    for index in range(num_inference_steps):
        guided = guidance_scale > 1 and mode.guided[0] <= index / num_inference_steps < mode.guided[1]
        whole = index >= due or (guided and not kept_guided)
        if whole:
            due, kept_guided = (due if index >= due else index) + mode.interval, guided
        steps.append(Step(whole, guided))
    return tuple(steps)
