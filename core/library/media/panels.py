"""The layout of a comparison: A, B and their difference side by side, each with a label, without scaling."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from core.domain.recipe import changes
from core.domain.video import Video

A, B, DIFFERENCE = "a", "b", "difference"
GAP, LABEL_HEIGHT, LETTERS_PX = 8, 22, 13
WIDEST = 4096  # the limit of decoders in browsers; a wider comparison puts its panels below each other
_PAPER, _INK = (20, 26, 29), (222, 230, 234)
_LABELLED = {"model": "", "num_frames": "frames", "num_inference_steps": "steps", "guidance_scale": "guidance",
             "fps": "fps", "seed": "seed", "scheduler": ""}  # fields without a person's text and without picture sizes


@dataclass(frozen=True)
class Panel:
    """One picture inside the clip: its name, its exact place in pixels, and its number of frames."""

    name: str
    x: int
    y: int
    width: int
    height: int
    num_frames: int


@dataclass(frozen=True)
class Layout:
    """The paper with the labels, uint8 (H, W, 3) with even sides, and the places of the pictures."""

    paper: np.ndarray
    panels: tuple[Panel, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.paper.shape[1], self.paper.shape[0]

    def compose(self, *pictures: np.ndarray | None) -> np.ndarray:
        """One frame of the clip: uint8 pictures in the order of the panels; None leaves a place empty."""
        frame = self.paper.copy()
        for panel, picture in zip(self.panels, pictures, strict=False):
            if picture is not None:
                frame[panel.y : panel.y + panel.height, panel.x : panel.x + panel.width] = picture
        return frame


def lay_out(a: Video, b: Video, with_difference: bool) -> Layout:
    """Places for both videos, and for their difference if it is wanted."""
    shared = min(a.result.num_frames, b.result.num_frames)
    wanted = [(A, a.result.width, a.result.height, a.result.num_frames),
              (B, b.result.width, b.result.height, b.result.num_frames)]
    if with_difference:
        wanted.append((DIFFERENCE, a.result.width, a.result.height, shared))
    across = sum(width for _, width, _, _ in wanted) + GAP * (len(wanted) + 1) <= WIDEST
    panels, x, y = [], GAP, LABEL_HEIGHT
    for name, width, height, num_frames in wanted:
        panels.append(Panel(name, x, y, width, height, num_frames))
        if across:
            x += width + width % 2 + GAP  # even places: chroma is stored for pairs of pixels
        else:
            y += height + height % 2 + LABEL_HEIGHT
    right = max(panel.x + panel.width for panel in panels) + GAP
    bottom = max(panel.y + panel.height for panel in panels) + GAP
    return Layout(_paper((right + right % 2, bottom + bottom % 2), panels, _labels(a, b)), tuple(panels))


def _paper(size: tuple[int, int], panels: list[Panel], labels: dict[str, tuple[str, str]]) -> np.ndarray:
    image = Image.new("RGB", size, _PAPER)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(LETTERS_PX)
    for panel in panels:
        text = next((text for text in labels[panel.name] if font.getlength(text) <= panel.width), "")
        draw.text((panel.x, panel.y - LABEL_HEIGHT + 3), text, _INK, font)
    return np.asarray(image)


def _labels(a: Video, b: Video) -> dict[str, tuple[str, str]]:
    """For each panel a long label, and a short one in case the long one does not fit."""
    differing = [change for change in changes(a.recipe, b.recipe) if change.name in _LABELLED] \
        if a.recipe and b.recipe else []

    def label(letter: str, values: list[object]) -> str:
        pairs = zip(differing, values, strict=True)
        return "  ".join([letter, *(f"{_LABELLED[change.name]} {value}".strip() for change, value in pairs)])

    return {A: (label("A", [change.before for change in differing]), "A"),
            B: (label("B", [change.after for change in differing]), "B"), DIFFERENCE: ("Difference", "Diff")}
