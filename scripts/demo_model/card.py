"""The model card: `README.md` of the model folder and `training.json` beside it, both from the training's log."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scripts.demo_model.recipe import RECIPES, Recipe
from scripts.demo_model.tokens import known_tokens
from scripts.demo_model.world import DATA_VERSION, TRAINED, UNSEEN

STAGES = {
    "autoencoder": "autoencoder on crops",
    "encoder": "its encoder alone, a level more, on the latents of half the size",
    "decoder": "its decoder alone, on whole frames",
    "words": "text encoder on what captions say",
    "stills": "text encoder and UNet on single frames that are told their place",
    "positions": "temporal convolutions on telling the place themselves",
    "clips": "text encoder and UNet on whole clips",
}

CARD = """---
license: apache-2.0
library_name: diffusers
pipeline_tag: text-to-video
language: en
---

# Demo text-to-video model

A tiny text-to-video diffusion model that makes {size}×{size} clips of {frames} frames at 8 fps: six shapes in ten
colours with ten motions on six backgrounds, two of them side by side, and thirteen small scenes. It ships with the
Text-to-Video Studio so that the studio works anywhere, without a GPU and without a download.

**What it is not.** It has never seen a photograph. It knows {words} words (`vocabulary.json`); all others are one
and the same unknown word to it, mostly ignored. How often it shows what a prompt asks for, and where it
fails, is measured in `docs/demo_model.md` of the repository.

**Licence.** Apache-2.0. The weights were trained from nothing, by this repository's code, only on clips drawn by
this repository's code; nobody else's data or weights are in them.

## What made these weights

| | |
|---|---|
| code | `python -m scripts.demo_model.train --recipe {name}{options}` |
| data | version {version}: {clips:,} clips drawn by lot for {whose}, the first {taught:,} for the rest; \
{trained} of {combinations} combinations of shape, colour and motion, the others held out |
| seed | {seed} |
| hardware | {hardware} |
| precision | {precision} |
| parameters | {parameters} |

{stages}

The machine was busy with other work too: the seconds are wall-clock, and say little about an idle one.

## Loss curves

{curves}

The autoencoder's loss is L1 plus squared error on pixels from -1 to 1; the diffusion losses are squared errors of
the velocity, before weighting. All numbers are in `training.json`.

## Files

Stock diffusers classes (`UNet3DConditionModel`, `AutoencoderKL`, `CLIPTextModel`, `CLIPTokenizer`,
`DPMSolverMultistepScheduler`), weights in FP16 safetensors. `vocabulary.json`: the known words and prompts that
work. `preview.json`: RGB as a linear function of a scaled latent, for previews without the autoencoder.
"""


KEPT = {
    "grow": "text encoder and UNet, which stayed as they were, and their autoencoder",
    "finish": "whole network and decoder",
    "": "autoencoder, text encoder and spatial layers",
}
"""The parts that a later round took from the round before it, by its option."""


def read_log(path: Path) -> dict[str, list[dict[str, float]]]:
    """Return the rows of each stage of a training log. If a step is logged twice (after a resume), the later counts."""
    stages: dict[str, dict[tuple[int, bool], dict[str, float]]] = {}
    for line in path.read_text().splitlines():
        row = json.loads(line)
        stages.setdefault(row.pop("stage"), {})[row["step"], "psnr" in row] = row
    return {stage: [rows[key] for key in sorted(rows)] for stage, rows in stages.items()}


def _stage_table(log: dict[str, list[dict[str, float]]]) -> str:
    lines = ["| stage | steps | seconds | last loss |", "|---|---|---|---|"]
    for stage, title in STAGES.items():
        rows = [row for row in log.get(stage, []) if "loss" in row]
        if rows:
            seconds = max(row["seconds"] for row in rows)
            lines.append(f"| {title} | {rows[-1]['step']:,} | {seconds:,.0f} | {rows[-1]['loss']:.4f} |")
    return "\n".join(lines)


def _rounds(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The trainings that made some weights, in order. Each started from the weights of the one before."""
    first = document.get("first")
    return [*(_rounds(first) if first else []), document]


def _stages(document: dict[str, Any]) -> str:
    """A table of stages for each round, and its notes."""
    rounds = _rounds(document)
    tables = ["\n".join([_stage_table(one["log"]), "", *(f"- {note}" for note in one["notes"])]).strip()
              for one in rounds]
    if len(rounds) == 1:
        return tables[0]
    parts = [f"First, with version {rounds[0]['data_version']} of the data, on {rounds[0]['hardware']}:"]
    for one in rounds[1:]:
        kept = next(words for option, words in KEPT.items() if one.get(option, not option))
        kept += f" (`--recipe {one['recipe']['name']}{_options(one)}`)"
        where = "" if one is rounds[-1] else f", on {one['hardware']}"
        parts.append(f"Then, going on from their {kept}{where}:")
    return "\n\n".join(f"{part}\n\n{shown}" for part, shown in zip(parts, tables, strict=True))


def _log_of(document: dict[str, Any]) -> dict[str, list[dict[str, float]]]:
    """The latest log of each stage."""
    log: dict[str, list[dict[str, float]]] = {}
    for one in _rounds(document):
        log |= one["log"]
    return log


def _curves(log: dict[str, list[dict[str, float]]], points: int = 8) -> str:
    parts = []
    for stage, title in STAGES.items():
        rows = [row for row in log.get(stage, []) if "loss" in row]
        if not rows:
            continue
        picked = sorted({round(place * (len(rows) - 1) / (points - 1)) for place in range(points)})
        shown = " → ".join(f"{rows[place]['loss']:.3f} ({rows[place]['step']:,})" for place in picked)
        parts.append(f"- {title}, loss (step): {shown}")
        quality = [row for row in log[stage] if "psnr" in row]
        if quality:
            shown = " → ".join(f"{row['psnr']:.1f} ({row['step']:,})" for row in quality)
            parts.append(f"- {title}, PSNR in dB on held-out frames (step): {shown}")
    return "\n".join(parts)


def _options(document: dict[str, Any]) -> str:
    """The options after `--recipe NAME` that made these weights, with a blank before each option."""
    asked = document["recipe"]
    usual = asdict(RECIPES[asked["name"]])
    given = ["bf16"] if asked["precision"] != usual["precision"] else []
    given += ["base FOLDER"] if document["first"] else []
    given += [name for name in KEPT if name and document.get(name)]
    for name in ("again", "fine", "retouched", "clip_steps", "decoder_steps"):
        value = asked.get(name, usual[name])
        given += [f"{name.replace('_', '-')} {value}"] if value != usual[name] else []
    return "".join(f" --{option}" for option in given)


def write_card(
    folder: Path,
    log_path: Path,
    recipe: Recipe,
    name: str,
    hardware: str,
    parameters: dict[str, int],
    notes: list[str],
    first: dict[str, Any] | None = None,
    finish: bool = False,
    grow: bool = False,
) -> None:
    """Write `training.json` and `README.md` into the model folder.

    `first` is the `training.json` of the starting weights; it becomes a part of the new one. `finish`: the training
    continued only their decoder and the stage of complete clips. `grow`: their autoencoder got one more level.
    """
    log = read_log(log_path)
    document = {
        "data_version": DATA_VERSION,
        "recipe": asdict(recipe) | {"name": name},
        "hardware": hardware,
        "parameters": parameters,
        "notes": notes,
        "log": log,
        "first": first,
        "finish": finish,
        "grow": grow,
    }
    (folder / "training.json").write_text(json.dumps(document) + "\n")
    rounds = _rounds(document)
    text = CARD.format(
        size=recipe.size,
        frames=recipe.frames,
        words=known_tokens() - 3,
        name=name,
        options=_options(document),
        whose=f"the autoencoder (at first of version {rounds[0]['data_version']})" if first else "the autoencoder",
        version=DATA_VERSION,
        clips=recipe.clips,
        taught=recipe.taught_clips,
        trained=len(TRAINED),
        combinations=len(TRAINED) + len(UNSEEN),
        seed=recipe.seed,
        hardware=hardware,
        precision="bfloat16 autocast" if recipe.precision == "bf16" else "float32",
        parameters=", ".join(f"{part} {count / 1e6:.2f} M" for part, count in parameters.items()),
        stages=_stages(document),
        curves=_curves(_log_of(document)),
    )
    (folder / "README.md").write_text(text)
