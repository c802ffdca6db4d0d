"""Evaluate the demo model: `python -m scripts.demo_model.evaluate`. Prints tables, writes JSON and pictures.

Every figure comes from clips generated in this run from the checkpoint on disk, in float32, measured by
`measure`; the same measurement of rendered clips is printed first, since it bounds what the others can mean. The
curves use the first prompts of the same list, and every table says how many.
"""

import argparse
import json
import logging
import time
from collections.abc import Callable
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

from scripts.demo_model import scenes
from scripts.demo_model.autoencoder import reconstruction_psnr
from scripts.demo_model.measure import Measured, measure
from scripts.demo_model.prompts import Asked, scene_prompts, single_prompts
from scripts.demo_model.recipe import RECIPES, Recipe
from scripts.demo_model.sampling import contact_sheet, generate
from scripts.demo_model.world import Clip, draw_clip, render

QUESTIONS = ("colour", "motion", "shape", "background")
SCHEDULERS = {
    "DPM-Solver++": DPMSolverMultistepScheduler,
    "UniPC": UniPCMultistepScheduler,
    "DDIM": DDIMScheduler,
    "Euler": EulerDiscreteScheduler,
}
NEGATIVE = "blurry, low quality, distorted, artifacts, flicker, jitter"
BATCH = 8
Make = Callable[[list[Asked]], NDArray[np.uint8]]
Row = dict[str, float]


def answers(asked: Asked, seen: Measured) -> dict[str, bool]:
    """Compare what was measured with what was asked for, question by question."""
    return {question: getattr(seen, question) == getattr(asked.clip, question) for question in QUESTIONS}


def summary(asked: list[Asked], measured: list[Measured]) -> Row:
    """Give the share of right answers in percent, all four right at once, mean flicker, and n."""
    marks = [answers(prompt, seen) for prompt, seen in zip(asked, measured, strict=True)]
    row = {question: 100 * float(np.mean([mark[question] for mark in marks])) for question in QUESTIONS}
    row["all four"] = 100 * float(np.mean([all(mark.values()) for mark in marks]))
    row["flicker"] = float(np.mean([seen.flicker for seen in measured]))
    return {name: round(value, 1) for name, value in row.items()} | {"n": len(asked)}


def table(title: str, rows: dict[str, Row]) -> str:
    """Lay rows out as a Markdown table under a heading."""
    names = list(next(iter(rows.values())))
    lines = [f"### {title}", "", "| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    lines += [
        f"| {label} | " + " | ".join(f"{row[name]:g}" for name in names) + " |" for label, row in rows.items()
    ]
    return "\n".join(lines) + "\n"


class Evaluation:
    """One checkpoint under evaluation: makes clips, measures them, and keeps the tables."""

    def __init__(self, pipeline: TextToVideoSDPipeline, recipe: Recipe, steps: int, guidance: float) -> None:
        """Take a loaded pipeline and the settings everything but the curves uses."""
        self.pipeline, self.recipe, self.steps, self.guidance = pipeline, recipe, steps, guidance
        self.tables: dict[str, dict[str, Row]] = {}

    def make(self, asked: list[Asked], **settings: object) -> NDArray[np.uint8]:
        """Generate the clips of some prompts: uint8 (N, F, H, W, 3)."""
        chosen = {"steps": self.steps, "guidance": self.guidance} | settings
        parts = [
            generate(
                self.pipeline, [one.prompt for one in part], [one.seed for one in part], self.recipe, **chosen
            )
            for part in (asked[start : start + BATCH] for start in range(0, len(asked), BATCH))
        ]
        return np.concatenate(parts)

    def keep(self, title: str, rows: dict[str, Row]) -> None:
        """Keep a table and print it."""
        self.tables[title] = rows
        print(table(title, rows), flush=True)


def rendered_rows(recipe: Recipe, asked: list[Asked]) -> dict[str, Row]:
    """Measure the rendered clips of the same prompts: how far the measurement can be trusted."""
    return {"rendered": summary(asked, [measure(render(one.clip, recipe.size)) for one in asked])}


def _small(clip: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Shrink a clip to five moments of 16 x 16 blocks, for comparing scenes."""
    moments = clip[np.linspace(0, len(clip) - 1, 5).round().astype(int)].astype(np.float64)
    block = clip.shape[1] // 16
    return moments.reshape(5, 16, block, 16, block, 3).mean(axis=(2, 4))


def scene_rows(evaluation: Evaluation, each: int) -> tuple[dict[str, Row], list[Asked], NDArray[np.uint8]]:
    """For every scene: how often the nearest of many rendered clips is of the scene asked for."""
    size, known = evaluation.recipe.size, []
    for name, scene in scenes.SCENES.items():
        known += [
            (name, _small(render(Clip("scene", seed, scene=name, colour=colour), size)))
            for seed in range(8)
            for colour in scene.colours
        ]

    def nearest(clip: NDArray[np.uint8]) -> str:
        small = _small(clip)
        return min(known, key=lambda pair: float(np.abs(pair[1] - small).mean()))[0]

    asked = scene_prompts(each)
    made = evaluation.make(asked)
    rows = {}
    for name in scenes.SCENES:
        places = [place for place, one in enumerate(asked) if one.clip.scene == name]
        right = [nearest(made[place]) == name for place in places]
        drawn = [nearest(render(asked[place].clip, size)) == name for place in places]
        rows[name] = {
            "recognised": round(100 * float(np.mean(right)), 1),
            "rendered ones": round(100 * float(np.mean(drawn)), 1),
            "n": len(places),
        }
    total = {
        key: round(float(np.mean([row[key] for row in rows.values()])), 1)
        for key in ("recognised", "rendered ones")
    }
    rows["all scenes"] = total | {"n": len(asked)}
    return rows, asked, made


def breakdown(asked: list[Asked], measured: list[Measured], question: str) -> dict[str, Row]:
    """Split one question by what was asked: for every colour, motion, shape or background, the share right."""
    rows = {}
    for name in sorted({getattr(one.clip, question) for one in asked}):
        pairs = [
            pair for pair in zip(asked, measured, strict=True) if getattr(pair[0].clip, question) == name
        ]
        right = float(np.mean([getattr(seen, question) == name for _, seen in pairs]))
        rows[name] = {f"{question} right": round(100 * right, 1), "n": len(pairs)}
    return rows


def evaluate(evaluation: Evaluation, count: int, curve: int, out: Path) -> None:
    """Run everything and write `evaluation.json` and the contact sheets into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    recipe = evaluation.recipe
    asked = single_prompts(count)
    evaluation.keep("The measurement itself, on rendered clips", rendered_rows(recipe, asked))

    rng = np.random.default_rng(4242)
    frames = np.concatenate([render(draw_clip(rng), recipe.size)[::4] for _ in range(32)])
    psnr = round(reconstruction_psnr(evaluation.pipeline.vae, frames), 2)
    evaluation.keep(
        "Autoencoder, on frames never trained on", {"PSNR (dB)": {"value": psnr, "n": len(frames)}}
    )

    begun = time.monotonic()
    made = evaluation.make(asked)
    seconds = (time.monotonic() - begun) / count
    measured = [measure(clip) for clip in made]
    sides = {"all": (0, 1), "seen combinations": (0, 2), "unseen combinations": (1, 2)}
    evaluation.keep(
        f"Single shapes, {evaluation.steps} steps, guidance {evaluation.guidance:g}",
        {name: summary(asked[start::step], measured[start::step]) for name, (start, step) in sides.items()},
    )
    for question in QUESTIONS:
        evaluation.keep(f"By {question}", breakdown(asked, measured, question))
    contact_sheet(made[:25], [one.prompt for one in asked[:25]], out / "sheet_shapes.png")
    wrong = [
        place
        for place, pair in enumerate(zip(asked, measured, strict=True))
        if not all(answers(*pair).values())
    ]
    if wrong:
        titles = [f"{asked[place].prompt}" for place in wrong[:25]]
        contact_sheet(made[wrong[:25]], titles, out / "sheet_failures.png")

    rows, scene_asked, scene_made = scene_rows(evaluation, 4)
    evaluation.keep("Scenes", rows)
    chosen = [place for place in range(len(scene_asked)) if place % 4 < 2][:25]
    contact_sheet(
        scene_made[chosen], [scene_asked[place].prompt for place in chosen], out / "sheet_scenes.png"
    )

    few = asked[:curve]
    tried = {
        f"{guidance:g}": summary(few, [measure(clip) for clip in evaluation.make(few, guidance=guidance)])
        for guidance in (1.0, 2.0, 3.5, 5.0, 7.0, 9.0, 12.0)
    }
    evaluation.keep("Guidance", tried)
    tried = {
        str(steps): summary(few, [measure(clip) for clip in evaluation.make(few, steps=steps)])
        for steps in (5, 10, 15, 20, 30)
    }
    evaluation.keep("Steps (DPM-Solver++)", tried)
    tried, default = {}, evaluation.pipeline.scheduler
    for name, kind in SCHEDULERS.items():
        evaluation.pipeline.scheduler = kind.from_config(default.config)
        tried[name] = summary(few, [measure(clip) for clip in evaluation.make(few)])
    evaluation.pipeline.scheduler = default
    evaluation.keep(f"Scheduler, {evaluation.steps} steps", tried)
    tried = {
        label: summary(few, [measure(clip) for clip in evaluation.make(few, negative=text)])
        for label, text in (("none", ""), (NEGATIVE, NEGATIVE))
    }
    evaluation.keep("Negative prompt", tried)
    again = evaluation.make(few[:1])
    other = evaluation.make([Asked(few[0].prompt, few[0].clip, few[0].seed + 77, True)])
    same = bool((again == evaluation.make(few[:1])).all())
    changed = float(np.abs(again.astype(float) - other).mean())
    evaluation.keep(
        "Seed", {"one prompt": {"same seed, same frames": float(same), "other seed, change": changed}}
    )
    document = {
        "steps": evaluation.steps,
        "guidance": evaluation.guidance,
        "seconds_per_clip_in_batches": round(seconds, 2),
        "tables": evaluation.tables,
    }
    (out / "evaluation.json").write_text(json.dumps(document, indent=1) + "\n")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("data/models/demo"))
    parser.add_argument(
        "--recipe", choices=sorted(RECIPES), default="cpu64", help="the recipe it was made by"
    )
    parser.add_argument("--out", type=Path, default=Path("docs/demo_model"))
    parser.add_argument("--prompts", type=int, default=240)
    parser.add_argument("--curve", type=int, default=40, help="prompts for each point of a curve")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=5.0)
    options = parser.parse_args()
    logging.getLogger("diffusers").setLevel(logging.ERROR)
    torch.set_grad_enabled(False)
    pipeline = DiffusionPipeline.from_pretrained(options.model, use_safetensors=True, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    evaluation = Evaluation(pipeline, RECIPES[options.recipe], options.steps, options.guidance)
    evaluate(evaluation, options.prompts, options.curve, options.out)


if __name__ == "__main__":
    main()
