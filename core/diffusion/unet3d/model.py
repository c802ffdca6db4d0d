"""A loaded model of the family: its parts, and the interface that the engine uses."""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet3DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from core.diffusion import placement
from core.diffusion.loader import Found
from core.diffusion.model import OnDecoded, Parts
from core.diffusion.placement import Around
from core.diffusion.prediction import Prediction
from core.diffusion.unet3d.decoding import decode, pixels_per_latent
from core.diffusion.unet3d.embedding import embed
from core.diffusion.unet3d.graphs import Graphed, Record
from core.diffusion.unet3d.network import Network, lay_out
from core.diffusion.unet3d.prediction import Reference, planned, rehearse
from core.diffusion.unet3d.preview import factors_for
from core.domain.modes import ModeSpec, mode_of
from core.domain.recipe import Recipe, Size
from core.errors import BadRequest
from core.families.cost import RESIDENT, SEQUENTIAL_OFFLOAD


class UNet3DModel:
    """See `core.diffusion.model.Model`."""

    def __init__(self, found: Found, tokenizer: Any, text_encoder: Any, unet: Any, vae: Any,
                 record: Record | None = None) -> None:
        """record: how steps are recorded for replay; None: as CUDA graphs on a GPU, not at all on a CPU."""
        self.source, self.shape = found.source, found.shape
        self.parts = Parts(text_encoder, unet, vae)
        self.tokenizer, self.text_encoder, self.unet, self.vae = tokenizer, text_encoder, unet, vae
        self.scheduler_config: dict[str, Any] = found.scheduler_config()
        self.preview_factors = factors_for(
            found.source.folder, unet.config.in_channels, vae.config.scaling_factor)
        self._record = record
        self._graphed: Graphed | None = None
        self._log = logging.getLogger(__name__)

    @property
    def tokens(self) -> int:
        """The number of tokens of a prompt that the model reads, with the first and last special tokens."""
        return min(int(self.tokenizer.model_max_length), int(self.text_encoder.config.max_position_embeddings))

    @property
    def recorded_bytes(self) -> int:
        """See `Model`."""
        return self._graphed.nbytes if self._graphed else 0

    def forget_recordings(self) -> None:
        """See `Model`."""
        self._graphed = None

    def latents_of(self, size: Size) -> tuple[int, int, int, int]:
        """See `Model`."""
        factor = pixels_per_latent(self.vae)
        for name in ("width", "height"):
            if getattr(size, name) % factor:
                raise BadRequest(name, f"{getattr(size, name)} is not a multiple of {factor}, as "
                                       f"{self.source.spec.title} needs.")
        return size.num_frames, self.unet.config.in_channels, size.height // factor, size.width // factor

    def arrange(self, mode: ModeSpec, memory_mode: str) -> None:
        """See `Model`."""
        if not mode.network or memory_mode != RESIDENT:
            self._graphed = None  # the weights move, and a recording uses their old places
        for part in (self.unet, self.vae):
            lay_out(part, mode.network)

    def works_layer_by_layer(self, mode: ModeSpec) -> bool:
        """See `Model`. The library's forward is one piece."""
        return mode.network

    def embed(self, recipe: Recipe) -> tuple[torch.Tensor, tuple[str, ...]]:
        """See `Model`."""
        return embed(self, recipe)

    def predict(self, recipe: Recipe, embeds: torch.Tensor, noise: torch.Tensor, memory_mode: str,
                around: Around) -> Prediction:
        """See `Model`."""
        if not mode_of(recipe.mode).network:
            return Reference(self.unet, embeds, recipe.guidance_scale)
        return planned(self._network(recipe, noise, memory_mode, around), recipe, embeds)

    def rehearse(self, recipe: Recipe, noise: torch.Tensor, alive: Callable[[], None]) -> float:
        """See `Model`."""
        network = self._network(recipe, noise, RESIDENT, placement.here)
        return rehearse(network, noise, self.embed(recipe)[0], alive)

    def decode(self, latents: torch.Tensor, mode: ModeSpec, on_decoded: OnDecoded) -> np.ndarray:
        """See `Model`."""
        return decode(self.vae, latents, mode, on_decoded)

    def _network(self, recipe: Recipe, noise: torch.Tensor, memory_mode: str, around: Around) -> Network | Graphed:
        network = Network(self.unet, around if memory_mode == SEQUENTIAL_OFFLOAD else placement.here)
        device = self.source.device
        if memory_mode != RESIDENT or (self._record is None and device.type != "cuda"):
            return network
        needs = self.shape.memory(recipe.size, recipe.guided, device.type)
        # a recording also holds the memory of a step while frames are decoded
        spare = (placement.free_bytes(device) or 0) - needs.needed() - needs.decoding
        if spare < 0:
            self._graphed = None
            self._log.warning("Steps are not recorded: %.1f GB of memory are missing for it", -spare / 1e9)
            return network
        self._graphed = self._graphed or Graphed(network, self._record)
        self._graphed.make_room(noise.shape, spare)
        return self._graphed


def load(found: Found, record: Record | None = None) -> UNet3DModel:
    """Load a checked folder of the family. Raises ModelUnavailable."""
    text_encoder = found.part(CLIPTextModel, "text_encoder")
    unet = found.part(UNet3DConditionModel, "unet")
    vae = found.part(AutoencoderKL, "vae")
    return UNet3DModel(found, found.tokenizer(CLIPTokenizer), text_encoder, unet, vae, record)
