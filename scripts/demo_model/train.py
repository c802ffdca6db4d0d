"""Train the demo model: `python -m scripts.demo_model.train --work DIR`. After a stop, run it again to resume.

On a busy machine two processes with one thread each are faster than one process with two threads. Two threads wait
for each other at every operation. The command is:

    OMP_NUM_THREADS=1 torchrun --nproc_per_node 2 -m scripts.demo_model.train --work DIR

The processes average their weights every few steps, so two processes make other weights than one.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from scripts.demo_model.autoencoder import load_decoder, train_autoencoder, train_decoder, train_encoder
from scripts.demo_model.base import autoencoder_of, weights_of
from scripts.demo_model.captions import EXAMPLES
from scripts.demo_model.card import write_card
from scripts.demo_model.dataset import clip_list, frames_on_disk, latents_on_disk, to_pixels
from scripts.demo_model.decoder_finetune import retouched_on_disk
from scripts.demo_model.denoiser import Batches, Stage, stages, tokenizer_for
from scripts.demo_model.export import assemble, save_checkpoint
from scripts.demo_model.growing import grown_autoencoder, halved_pixels
from scripts.demo_model.recipe import RECIPES, Recipe
from scripts.demo_model.sampling import contact_sheet, generate
from scripts.demo_model.scenes import SCENES
from scripts.demo_model.stages import teach_positions, teach_words, train_stage

TEACHERS = {"words": teach_words, "positions": teach_positions}
"""The functions that train these stages; `train_stage` trains the others, single frames and clips."""


def train(
    recipe: Recipe,
    name: str,
    work: Path,
    out: Path,
    hardware: str,
    notes: list[str],
    only: str = "",
    base: Path | None = None,
    finish: bool = False,
    grow: bool = False,
) -> None:
    """Run the unfinished stages, then write the model into `out`.

    Args:
        base: a model folder of the recipe's sizes. Its autoencoder stays unchanged; the denoiser starts from its
            weights and runs all stages.
        finish: the decoder and the complete network of `base` continue their training, only with the last stage.
        grow: `base` has half the size. Its denoiser stays unchanged; its autoencoder gets one more level.
        only: "decoder" and "denoiser" train only that part. They may run in parallel after the latents are cached.
            "export" trains no part and writes the state of the last stage that has one.
    """
    if finish:
        recipe = replace(recipe, still_every=0)  # single frames need the table of places, and the base has none
    work.mkdir(parents=True, exist_ok=True)
    accelerator = Accelerator(cpu=not torch.cuda.is_available(), mixed_precision=recipe.precision)
    with accelerator.main_process_first():
        frames = frames_on_disk(recipe, work)
    if base is None:
        vae = train_autoencoder(recipe, work, frames, accelerator)
    else:
        vae = autoencoder_of(base).to(accelerator.device)
    latents = latents_on_disk(recipe, work, frames, vae, accelerator, halved_pixels if grow else to_pixels)
    if grow:
        vae = grown_autoencoder(recipe, vae)
        if accelerator.is_main_process:
            train_encoder(recipe, work, vae, frames, latents, accelerator)
    seen, known = recipe, latents
    if recipe.retouched and only in ("", "decoder"):
        seen = replace(recipe, taught_clips=2 * recipe.retouched)
        known = retouched_on_disk(recipe, work, base, latents, accelerator)
    if (base is None or finish or grow) and only in ("", "decoder") and accelerator.is_main_process:
        train_decoder(seen, work, vae, frames, known, accelerator)
    if only == "decoder":
        return
    tokenizer = tokenizer_for(recipe)
    batches = Batches(recipe, tokenizer, clip_list(recipe), latents)
    weights = None
    if base is not None and (finish or only != "export"):
        weights = weights_of(base, recipe, tokenizer, finish or grow)
    for stage in _stages(recipe, finish, grow):
        state = work / f"{stage.name}.pt"
        if only == "export":
            if state.exists():
                weights = torch.load(state, map_location="cpu", weights_only=True)["average"]
            continue
        weights = TEACHERS.get(stage.name, train_stage)(recipe, work, stage, batches, accelerator, weights)
    if not accelerator.is_main_process:
        return
    if weights is None:
        raise SystemExit("There is nothing to export yet: no stage of the denoiser has a state.")
    first = None if base is None else json.loads((base / "training.json").read_text())
    weights = {name: value.cpu() for name, value in weights.items()}
    if base is None or finish or grow:
        load_decoder(work, vae)
    pipeline = assemble(recipe, vae, tokenizer, weights)
    clips = generate(pipeline, list(EXAMPLES), [7] * len(EXAMPLES), recipe)
    contact_sheet(clips, list(EXAMPLES), work / "examples.png", columns=2, shown=8)
    save_checkpoint(pipeline, out, latents, np.asarray(frames[:200]))
    parameters = {
        part: sum(parameter.numel() for parameter in getattr(pipeline, part).parameters())
        for part in ("unet", "text_encoder", "vae")
    }
    write_card(out, work / "log.jsonl", recipe, name, hardware, parameters, notes, first, finish, grow)


def _stages(recipe: Recipe, finish: bool, grow: bool) -> tuple[Stage, ...]:
    """The stages of the denoiser in this training."""
    if grow:
        return ()
    return stages(recipe)[-1:] if finish else stages(recipe)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for the data, states and log")
    parser.add_argument(
        "--out", type=Path, default=Path("data/models/demo"), help="folder of the finished model"
    )
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="cpu64")
    parser.add_argument(
        "--only", choices=("decoder", "denoiser", "export"), default="", help="run only this part"
    )
    parser.add_argument("--base", type=Path, help="a model folder to start from, instead of random weights")
    parser.add_argument(
        "--finish", action="store_true", help="continue only the decoder and the stage of complete clips of --base"
    )
    parser.add_argument(
        "--grow", action="store_true", help="add one level to the autoencoder of --base, which has half the size"
    )
    parser.add_argument("--again", choices=sorted((*SCENES, "pair")), default="",
                        help="a scene, or two shapes, that every fourth sample shows")
    parser.add_argument("--clip-steps", type=int, help="steps on complete clips, instead of the recipe's")
    parser.add_argument("--decoder-steps", type=int, help="steps of the decoder alone, instead of the recipe's")
    parser.add_argument("--retouched", type=int, default=0, metavar="CLIPS",
                        help="number of clips with latents from the denoiser of --base, for the decoder; "
                             "needs --finish")
    parser.add_argument("--fine", type=float, metavar="SHARE",
                        help="share of samples, 0 to 1, with little noise, which decide the outlines; "
                             "instead of the recipe's")
    parser.add_argument("--bf16", action="store_true", help="bfloat16 autocast, on a CPU that has it")
    parser.add_argument("--hardware", default="two CPU cores", help="the hardware in the model card")
    parser.add_argument(
        "--note", action="append", default=[], help="a sentence for the model card; repeatable"
    )
    options = parser.parse_args()
    if (options.finish or options.grow) and options.base is None:
        parser.error("--finish and --grow start from a model folder: name it with --base")
    if options.finish and options.grow:
        parser.error("--finish or --grow, one after the other")
    if options.fine is not None and not 0 <= options.fine <= 1:
        parser.error(f"--fine: a share from 0 to 1, not {options.fine:g}")
    if options.retouched and not options.finish:
        parser.error("--retouched needs a finished denoiser: --finish and --base")
    recipe = RECIPES[options.recipe]
    if 2 * options.retouched > recipe.taught_clips:
        parser.error(f"--retouched: at most half of the {recipe.taught_clips:,} clips the recipe learns from")
    recipe = replace(recipe, again=options.again, retouched=options.retouched)
    for name in ("fine", "clip_steps", "decoder_steps"):
        if getattr(options, name) is not None:
            recipe = replace(recipe, **{name: getattr(options, name)})
    if options.bf16:
        recipe = replace(recipe, precision="bf16")
    train(
        recipe,
        options.recipe,
        options.work,
        options.out,
        options.hardware,
        options.note,
        options.only,
        options.base,
        options.finish,
        options.grow,
    )


if __name__ == "__main__":
    main()
