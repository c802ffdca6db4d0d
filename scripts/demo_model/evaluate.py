"""Evaluate the demo model: `python -m scripts.demo_model.evaluate`. Prints tables, writes JSON and pictures.

Every figure comes from clips that this run generates from the model folder on disk. `measure` measures them. The same
measurement of rendered clips is printed first, because it limits the meaning of the others. The curves use the first
prompts of the same list, and every table gives their number. Clips are made in batches. With `--bf16` this happens in
bfloat16 autocast, which halves the time on a CPU with bfloat16. One clip also goes through the studio's own engine;
it is timed and compared.
"""

import argparse
import json
import logging
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    DDIMScheduler,
    DiffusionPipeline,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    TextToVideoSDPipeline,
    UniPCMultistepScheduler,
)
from numpy.typing import NDArray

from core.diffusion.engine import Engine
from core.domain.models import NEGATIVE_PROMPT
from core.domain.recipe import resolve
from core.domain.request import VideoRequest
from core.families.catalog import catalog
from core.settings import Settings
from scripts.demo_model.autoencoder import reconstruction_psnr
from scripts.demo_model.measure import Measured, measure, measure_pair
from scripts.demo_model.prompts import Asked, pair_prompts, scene_prompts, single_prompts
from scripts.demo_model.recipe import RECIPES
from scripts.demo_model.sampling import contact_sheet, generate
from scripts.demo_model.scene_match import SceneMatch
from scripts.demo_model.scenes import SCENES
from scripts.demo_model.tables import (
    QUESTIONS,
    Blocks,
    answers,
    breakdown,
    outlines,
    pair_summary,
    put_into,
    summary,
    table,
)
from scripts.demo_model.world import COLOURS, SHAPES, draw_clip, render

SCHEDULERS = {
    "DPM-Solver++": DPMSolverMultistepScheduler,
    "UniPC": UniPCMultistepScheduler,
    "DDIM": DDIMScheduler,
    "Euler": EulerDiscreteScheduler,
}
OPTIONS = {"DDIM": {"clip_sample": False}}
GUIDANCES = (1.0, 2.0, 3.5, 5.0, 8.0)
STEP_COUNTS = (6, 10, 16, 20)
BATCH = 8


class Evaluation:
    """One model under evaluation: makes clips, measures them, and stores the tables."""

    def __init__(self, pipeline: TextToVideoSDPipeline, options: argparse.Namespace) -> None:
        """Take a loaded pipeline and the command line. Its settings apply to all tables except the curves."""
        self.pipeline, self.recipe, self.bf16 = pipeline, RECIPES[options.recipe], options.bf16
        self.defaults = {"steps": options.steps, "guidance": options.guidance, "negative": ""}
        self.settings = {name: value for name, value in vars(options).items() if not isinstance(value, Path)}
        self.out, self.page = options.out, options.page
        self.tables: dict[str, Blocks] = {}

    def make(self, asked: list[Asked], **settings: object) -> NDArray[np.uint8]:
        """Generate the clips of some prompts: uint8 (N, F, H, W, 3)."""
        chosen = self.defaults | settings
        parts = []
        for start in range(0, len(asked), BATCH):
            part = asked[start : start + BATCH]
            prompts, seeds = [one.prompt for one in part], [one.seed for one in part]
            with torch.autocast(self.pipeline.device.type, torch.bfloat16, enabled=self.bf16):
                parts.append(generate(self.pipeline, prompts, seeds, self.recipe, **chosen))
        return np.concatenate(parts)

    def keep(self, title: str, rows: Blocks) -> None:
        """Store a table, print it, and write all tables so far to the disk."""
        self.tables[title] = rows
        print(table(title, rows), flush=True)
        document = {"settings": self.settings, "tables": self.tables}
        (self.out / "evaluation.json").write_text(json.dumps(document, indent=1) + "\n")
        if self.page:
            put_into(self.page, "\n".join(table(title, rows) for title, rows in self.tables.items()))

    def reconstruction(self) -> None:
        """PSNR of the autoencoder on frames of clips that training never drew."""
        rng = np.random.default_rng(4242)
        frames = np.concatenate([render(draw_clip(rng), self.recipe.size)[::4] for _ in range(32)])
        psnr = round(reconstruction_psnr(self.pipeline.vae, frames), 2)
        self.keep("Autoencoder, frames never trained on", {"PSNR": {"dB": psnr, "n": len(frames)}})

    def shapes(self, asked: list[Asked]) -> list[Measured]:
        """The main table, its breakdowns and two contact sheets; returns the measurements for the curves."""
        drawn = [measure(render(one.clip, self.recipe.size)) for one in asked]
        self.keep("The measurement itself, on rendered clips", {"rendered": summary(asked, drawn)})
        made = self.make(asked)
        measured = [measure(clip) for clip in made]
        sides = {"all": (0, 1), "seen combinations": (0, 2), "unseen combinations": (1, 2)}
        rows = {
            name: summary(asked[start::step], measured[start::step]) for name, (start, step) in sides.items()
        }
        self.keep("Single shapes", rows)
        for question in QUESTIONS:
            self.keep(f"{question.capitalize()}, by what was asked for", breakdown(asked, measured, question))
        self.keep("Outlines, in percent of intersection by union", outlines(drawn, measured))
        contact_sheet(made[:25], [one.prompt for one in asked[:25]], self.out / "sheet_shapes.png")
        right = [all(answers(*pair).values()) for pair in zip(asked, measured, strict=True)]
        worst = sorted(range(len(asked)), key=lambda place: (right[place], measured[place].fit))[:25]
        contact_sheet(made[worst], [asked[place].prompt for place in worst], self.out / "sheet_worst.png")
        return measured

    def pairs(self, count: int) -> None:
        """Two shapes side by side, rendered and made, and a contact sheet."""
        asked = pair_prompts(count)
        drawn = [measure_pair(render(one.clip, self.recipe.size)) for one in asked]
        made = self.make(asked)
        rows = {"rendered": pair_summary(asked, drawn),
                "made": pair_summary(asked, [measure_pair(clip) for clip in made])}
        self.keep("Two shapes side by side", rows)
        contact_sheet(made[:25], [one.prompt for one in asked[:25]], self.out / "sheet_pairs.png")

    def scenes(self, each: int) -> None:
        """The share of clips whose nearest rendered clip shows the requested scene."""
        match, asked = SceneMatch(self.recipe.size), scene_prompts(each)
        made = self.make(asked)
        rows: Blocks = {}
        for name in SCENES:
            places = [place for place, one in enumerate(asked) if one.clip.scene == name]
            drawn = [match.nearest(render(asked[place].clip, self.recipe.size)) == name for place in places]
            right = [match.nearest(made[place]) == name for place in places]
            rows[name] = {
                "recognised": round(100 * float(np.mean(right)), 1),
                "rendered clips": round(100 * float(np.mean(drawn)), 1),
                "n": len(places),
            }
        columns = ("recognised", "rendered clips")
        mean = {name: round(float(np.mean([row[name] for row in rows.values()])), 1) for name in columns}
        self.keep("Scenes", rows | {"all": mean | {"n": len(asked)}})
        contact_sheet(made[:25], [one.prompt for one in asked[:25]], self.out / "sheet_scenes.png")

    def curves(self, asked: list[Asked], measured: list[Measured]) -> None:
        """Guidance, steps, schedulers and the negative prompt; `measured` are the results at the default settings."""

        def line(**settings: object) -> dict[str, float]:
            if all(self.defaults[name] == value for name, value in settings.items()):
                return summary(asked, measured)
            return summary(asked, [measure(clip) for clip in self.make(asked, **settings)])

        self.keep("Guidance", {f"{value:g}": line(guidance=value) for value in GUIDANCES})
        self.keep("Steps", {str(value): line(steps=value) for value in STEP_COUNTS})
        texts = {"none": "", "the studio's default": NEGATIVE_PROMPT}
        self.keep("Negative prompt", {label: line(negative=text) for label, text in texts.items()})
        rows, default = {"DPM-Solver++": summary(asked, measured)}, self.pipeline.scheduler
        for name, kind in list(SCHEDULERS.items())[1:]:
            self.pipeline.scheduler = kind.from_config(default.config, **OPTIONS.get(name, {}))
            rows[name] = summary(asked, [measure(clip) for clip in self.make(asked)])
        self.pipeline.scheduler = default
        self.keep("Scheduler", rows)

    def avoided(self, each: int) -> None:
        """Prompts without a colour: the share of the usual colour, without and with a negative prompt that names it."""
        rows: Blocks = {}
        for shape in SHAPES:
            asked = [replace(one, prompt=f"a {shape} on a gray background") for one in single_prompts(each)]
            drawn = [measure(clip).colour for clip in self.make(asked)]
            usual = max(COLOURS, key=drawn.count)
            if usual not in drawn:
                continue  # the shape has the colour of the background and cannot be seen
            negative = f"a {usual} {shape}"
            again = [measure(clip).colour for clip in self.make(asked, negative=negative)]
            shares = [round(100 * colours.count(usual) / each, 1) for colours in (drawn, again)]
            rows[negative] = dict(zip(("without", "with", "n"), (*shares, each), strict=True))
        self.keep("How often a colour comes unasked, without and with the negative prompt", rows)

    def engine(self, models: Path) -> None:
        """One clip through the studio's engine, in float32: made twice, timed, and once with another seed."""
        engine = Engine(Settings.from_env({}, models_dir=models, device="cpu"))
        asked = VideoRequest("a red ball bouncing on a white background", seed=1, num_inference_steps=20)
        recipe = resolve(asked, catalog(models))
        first = engine.generate(recipe, lambda _: None)
        begun = time.monotonic()
        second = engine.generate(recipe, lambda _: None)
        seconds = time.monotonic() - begun
        other = engine.generate(
            resolve(VideoRequest(asked.prompt, seed=2, num_inference_steps=20), catalog(models)),
            lambda _: None,
        )
        change = float(np.abs(other.frames.astype(float) - first.frames).mean())
        row = {
            "seconds": round(seconds, 1),
            "same seed, largest difference": float(np.abs(first.frames.astype(int) - second.frames).max()),
            "other seed, mean difference": round(change, 1),
        }
        self.keep("Through the studio's engine, 20 steps, float32", {"one clip": row})


def main() -> None:
    """Read the command line and run everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("data/models/demo"))
    parser.add_argument(
        "--recipe", choices=sorted(RECIPES), default="cpu128", help="the recipe of the model"
    )
    parser.add_argument("--out", type=Path, default=Path("docs/demo_model"))
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--curve", type=int, default=40, help="prompts for each point of a curve")
    parser.add_argument("--pairs", type=int, default=60, help="prompts for two shapes side by side")
    parser.add_argument("--scenes", type=int, default=4, help="prompts for each scene")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument("--bf16", action="store_true", help="generate in bfloat16 autocast")
    parser.add_argument("--page", type=Path, help="a Markdown page; the tables are written between its two marks")
    options = parser.parse_args()
    logging.getLogger("diffusers").setLevel(logging.ERROR)
    torch.set_grad_enabled(False)
    options.out.mkdir(parents=True, exist_ok=True)
    pipeline = DiffusionPipeline.from_pretrained(options.model, use_safetensors=True, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    evaluation = Evaluation(pipeline, options)
    asked = single_prompts(options.prompts)
    evaluation.reconstruction()
    measured = evaluation.shapes(asked)
    evaluation.pairs(options.pairs)
    evaluation.scenes(options.scenes)
    evaluation.avoided(max(1, options.curve // 3))
    evaluation.engine(options.model.parent)
    evaluation.curves(asked[: options.curve], measured[: options.curve])


if __name__ == "__main__":
    main()
