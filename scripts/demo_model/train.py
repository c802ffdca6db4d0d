"""Train the demo model: `python -m scripts.demo_model.train --work DIR`; run it again to go on after a stop."""

import argparse
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from scripts.demo_model.autoencoder import train_autoencoder
from scripts.demo_model.captions import EXAMPLES
from scripts.demo_model.dataset import clip_list, frames_on_disk, latents_on_disk
from scripts.demo_model.denoiser import Batches, stages, tokenizer_for, train_stage
from scripts.demo_model.export import assemble, save_checkpoint
from scripts.demo_model.recipe import RECIPES, Recipe
from scripts.demo_model.sampling import contact_sheet, generate


def train(recipe: Recipe, work: Path, out: Path, only_export: bool = False) -> None:
    """Run the stages that are still to be done, then write the checkpoint into `out`.

    With `only_export` nothing is trained: the last state of the last stage that has one is written.
    """
    work.mkdir(parents=True, exist_ok=True)
    accelerator = Accelerator(mixed_precision=recipe.precision)
    frames = frames_on_disk(recipe, work)
    vae = train_autoencoder(recipe, work, frames, accelerator)
    latents = latents_on_disk(recipe, work, frames, vae)
    tokenizer = tokenizer_for(recipe)
    batches = Batches(recipe, tokenizer, clip_list(recipe), latents)
    weights: dict[str, torch.Tensor] | None = None
    for stage in stages(recipe):
        state = work / f"{stage.name}.pt"
        if only_export:
            if state.exists():
                weights = torch.load(state, map_location="cpu", weights_only=True)["average"]
            continue
        weights = train_stage(recipe, work, stage, batches, accelerator, weights)
    if weights is None:
        raise SystemExit("There is nothing to export yet: no stage of the denoiser has a state.")
    weights = {name: value.cpu() for name, value in weights.items()}
    pipeline = assemble(recipe, vae, tokenizer, weights)
    clips = generate(pipeline, list(EXAMPLES), [7] * len(EXAMPLES), recipe)
    contact_sheet(clips, list(EXAMPLES), work / "examples.png", columns=2, shown=8)
    save_checkpoint(pipeline, out, latents, np.asarray(frames[:200]))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for the data, states and log")
    parser.add_argument(
        "--out", type=Path, default=Path("data/models/demo"), help="where the checkpoint goes"
    )
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="cpu64")
    parser.add_argument("--only-export", action="store_true", help="train nothing, write what there is")
    options = parser.parse_args()
    train(RECIPES[options.recipe], options.work, options.out, options.only_export)


if __name__ == "__main__":
    main()
