"""Starts a training from earlier weights, instead of random ones."""

from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet3DConditionModel
from safetensors.torch import load_file
from transformers import CLIPTextModel, CLIPTokenizer

from scripts.demo_model.denoiser import Denoiser
from scripts.demo_model.positions import temporal_modules
from scripts.demo_model.recipe import Recipe


def autoencoder_of(base: Path) -> AutoencoderKL:
    """Load the autoencoder of a model folder, in float32."""
    vae = AutoencoderKL.from_config(AutoencoderKL.load_config(base / "vae", local_files_only=True))
    vae.load_state_dict(load_file(base / "vae" / "diffusion_pytorch_model.safetensors"))
    return vae.float().eval()


def weights_of(
    base: Path, recipe: Recipe, tokenizer: CLIPTokenizer, temporal: bool
) -> dict[str, torch.Tensor]:
    """Return the weights of a denoiser with the text encoder and UNet of a model folder.

    Without `temporal` its temporal modules are untrained again and add zeros, because single frames are learnt
    without them. The table of places is always untrained: it is not part of a model folder. Raises RuntimeError: the
    networks in the folder do not have the recipe's sizes.
    """
    model = Denoiser(recipe, tokenizer)
    model.text.load_state_dict(
        CLIPTextModel.from_pretrained(base / "text_encoder", local_files_only=True).state_dict()
    )
    unet = UNet3DConditionModel.from_pretrained(base / "unet", local_files_only=True)
    untrained = [module.state_dict() for module in temporal_modules(model.unet)]
    untrained = [{name: value.clone() for name, value in state.items()} for state in untrained]
    model.unet.load_state_dict(unet.state_dict())
    if not temporal:
        for module, state in zip(temporal_modules(model.unet), untrained, strict=True):
            module.load_state_dict(state)
    return model.state_dict()
