"""The torch halves of the families, as rows: the module that loads a model of each."""

from collections.abc import Callable

from core.diffusion.loader import Found
from core.diffusion.model import Model
from core.diffusion.unet3d.model import load as load_unet3d

LOADERS: dict[str, Callable[[Found], Model]] = {"unet3d": load_unet3d}
