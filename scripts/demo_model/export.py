"""From weights to the checkpoint people load: diffusers' folders, FP16 safetensors, vocabulary and preview map."""

import json
import shutil
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, TextToVideoSDPipeline
from numpy.typing import NDArray
from transformers import CLIPTokenizer

from scripts.demo_model.captions import EXAMPLES, vocabulary
from scripts.demo_model.denoiser import Denoiser, build_scheduler
from scripts.demo_model.recipe import Recipe


def assemble(
    recipe: Recipe, vae: AutoencoderKL, tokenizer: CLIPTokenizer, weights: dict[str, torch.Tensor]
) -> TextToVideoSDPipeline:
    """Put the parts together as a pipeline in float32, unknown words' embeddings included."""
    model = Denoiser(recipe, tokenizer)
    model.load_state_dict(weights)
    model.spread_unknown()
    pipeline = TextToVideoSDPipeline(
        vae=vae.cpu(),
        text_encoder=model.text,
        tokenizer=tokenizer,
        unet=model.unet,
        scheduler=build_scheduler(),
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def preview_map(latents: NDArray[np.float16], frames: NDArray[np.uint8]) -> dict[str, list[object]]:
    """Fit RGB (0 to 1) of a latent's block of pixels as a linear function of that scaled latent, by least squares.

    `latents` is (N, C, F, h, w), `frames` the matching (N, F, H, W, 3).
    """
    count, _, moments, height, width = latents.shape
    side = frames.shape[2] // height
    blocks = frames.reshape(count, moments, height, side, width, side, 3).mean(axis=(3, 5)) / 255.0
    inputs = np.moveaxis(latents.astype(np.float64), 1, -1).reshape(-1, latents.shape[1])
    inputs = np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)
    solution = np.linalg.lstsq(inputs, blocks.reshape(-1, 3), rcond=None)[0].round(5).tolist()
    return {"factors": solution[:-1], "bias": solution[-1]}


def save_checkpoint(
    pipeline: TextToVideoSDPipeline, folder: Path, latents: NDArray[np.float16], frames: NDArray[np.uint8]
) -> None:
    """Write the checkpoint into `folder`, replacing the weights there.

    The text encoder's config is made to ask for float32: transformers loads the dtype a config names, where
    diffusers' own classes load float32 unless told otherwise, and the parts must agree.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("unet", "vae", "text_encoder", "tokenizer", "scheduler"):
        shutil.rmtree(folder / part, ignore_errors=True)
    pipeline.to(dtype=torch.float16).save_pretrained(folder, safe_serialization=True)
    config = folder / "text_encoder" / "config.json"
    config.write_text(config.read_text().replace('"dtype": "float16"', '"dtype": "float32"'))
    known = {"words": vocabulary(), "examples": list(EXAMPLES)}
    (folder / "vocabulary.json").write_text(json.dumps(known, indent=1) + "\n")
    colours = preview_map(latents[:200], np.asarray(frames[:200]))
    (folder / "preview.json").write_text(json.dumps(colours) + "\n")
