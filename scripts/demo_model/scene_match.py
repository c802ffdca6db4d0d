"""Which scene a clip shows: the one among many rendered clips that it is nearest to when both are shrunk."""

import numpy as np
from numpy.typing import NDArray

from scripts.demo_model.scenes import SCENES
from scripts.demo_model.world import Clip, render

RENDERED_OF_EACH = 8


def _shrunk(clip: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Shrink a clip (F, H, W, 3) to five moments of 16 x 16 blocks."""
    moments = clip[np.linspace(0, len(clip) - 1, 5).round().astype(int)].astype(np.float64)
    block = clip.shape[1] // 16
    return moments.reshape(5, 16, block, 16, block, 3).mean(axis=(2, 4))


class SceneMatch:
    """Rendered clips of every scene, in every colour, to compare with."""

    def __init__(self, size: int) -> None:
        """Render them at `size` pixels, from small seeds, which no training clip is likely to have."""
        self.known = [
            (name, _shrunk(render(Clip("scene", seed, scene=name, colour=colour), size)))
            for name, scene in SCENES.items()
            for seed in range(RENDERED_OF_EACH)
            for colour in scene.colours
        ]

    def nearest(self, clip: NDArray[np.uint8]) -> str:
        """Name the scene of the nearest rendered clip."""
        small = _shrunk(clip)
        return min(self.known, key=lambda pair: float(np.abs(pair[1] - small).mean()))[0]
