"""How latents of the family become colours in a preview: by the model's map, or by a known map."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.diffusion.preview import Factors

_SD1_FACTORS = ((0.3512, 0.2297, 0.3227), (0.3250, 0.4974, 0.2350),
                (-0.2829, 0.1762, 0.2721), (-0.2120, -0.2616, -0.7177))


def factors_for(folder: Path, channels: int, scaling_factor: float) -> Factors:
    """The map of a model folder: its `preview.json`; that of Stable Diffusion; else shades of grey."""
    try:
        document = json.loads((folder / "preview.json").read_text(encoding="utf-8"))
        own = Factors(tuple(_colour(row) for row in document["factors"]), _colour(document["bias"]))
        if len(own.matrix) == channels:
            return own
    except (OSError, ValueError, KeyError, TypeError):
        pass  # the folder has no map, or the map cannot be read
    if channels == 4 and abs(scaling_factor - 0.18215) < 1e-6:
        # ComfyUI's latent_formats.py: rgb = (latents · F + 1) / 2
        return Factors(tuple((red / 2, green / 2, blue / 2) for red, green, blue in _SD1_FACTORS))
    return Factors(((0.25 / channels,) * 3,) * channels)


def _colour(values: Sequence[Any]) -> tuple[float, float, float]:
    """Red, green and blue. Raises ValueError, TypeError: the value is not three numbers."""
    red, green, blue = map(float, values)
    return red, green, blue
