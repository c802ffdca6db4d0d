"""Finds the scene that a clip shows: the scene of the most similar of many rendered clips."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scripts.demo_model.scenes import SCENES
from scripts.demo_model.world import Clip, render

RENDERED_OF_EACH = 32


@dataclass(frozen=True)
class Look:
    """The compared features of a clip: small pictures (places), and quantiles of brightness in each band (values)."""

    places: NDArray[np.float64]
    values: NDArray[np.float64]

    def distance(self, other: "Look") -> float:
        """The distance from another clip in grey levels. Brightness counts four times, to separate rain from snow."""
        places = float(np.abs(self.places - other.places).mean())
        return places + 4 * float(np.abs(self.values - other.values).mean())


def look(clip: NDArray[np.uint8]) -> Look:
    """The features of a clip (F, H, W, 3): five moments of 16 x 16 blocks, and 64 quantiles of four bands."""
    moments = clip[np.linspace(0, len(clip) - 1, 5).round().astype(int)].astype(np.float64)
    block = clip.shape[1] // 16
    places = moments.reshape(5, 16, block, 16, block, 3).mean(axis=(2, 4))
    bands = np.stack(np.split(moments, 4, axis=1)).reshape(4, -1, 3)
    return Look(places, np.quantile(bands, np.linspace(0.01, 0.99, 64), axis=1))


class SceneMatch:
    """Rendered clips of every scene, in every colour, for the comparison."""

    def __init__(self, size: int) -> None:
        """Render them at `size` pixels, from small seeds; a training clip is unlikely to have one of them."""
        self.known = [
            (name, look(render(Clip("scene", seed, scene=name, colour=colour), size)))
            for name, scene in SCENES.items()
            for seed in range(RENDERED_OF_EACH)
            for colour in scene.colours
        ]

    def nearest(self, clip: NDArray[np.uint8]) -> str:
        """Name the scene of the nearest rendered clip."""
        seen = look(clip)
        return min(self.known, key=lambda pair: pair[1].distance(seen))[0]
