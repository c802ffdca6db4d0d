"""Turns weights into the model folder for users: diffusers' folders, FP16 safetensors, vocabulary and preview map."""

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
    """Assemble the parts as a pipeline in float32, with the embeddings of unknown words."""
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
    """Fit the mean RGB (0 to 1) of a latent's block of pixels as a linear function of the scaled latent.

    The fit uses least squares. `latents` is (N, C, F, h, w), `frames` the matching (N, F, H, W, 3).
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
    """Write the model into `folder` and replace the weights there.

    The config of the text encoder is changed to float32. Reason: all parts must load with the same dtype.
    transformers loads the dtype in the config; the classes of diffusers load float32 by default.
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
