"""The error of the estimated duration of a video, over varied requests. Each request runs once."""

import itertools
import os
import random
import statistics
import tempfile
import time
from pathlib import Path

from core.domain.recipe import Recipe
from core.domain.request import VideoRequest
from core.domain.resources import Resources
from core.families.catalog import catalog
from core.families.cost import Work
from core.families.registry import family_of
from core.planning.estimate import first_guess
from core.settings import Settings
from core.studio import Studio, open_studio

PROMPT = "a red ball bouncing on a white background"
FRAMES, SIDES, STEPS, GUIDANCE = (4, 8, 16, 24), (64, 128, 192), (6, 12, 20), (1.0, 5.0)
WARM_UP = 5
AIM = 0.15


def measure(models_dir: Path, repeats: int = 5) -> dict[str, float | int | str]:
    """Make videos of the demo model in an order drawn from a fixed seed, and estimate each before it runs.

    Args:
        repeats: videos for each of the twelve pairs of frames and side.

    Returns:
        An error is estimated / measured - 1. The figures are the error of the first video, of the model's own size;
        the errors of the later videos, without the first few, which have no history; and the load of the machine.
        Also the errors of the two estimates without history. One uses a trial step of the worker at its start. The
        other uses a product of two matrices, as on a machine without a trial step.
    """
    requests = [VideoRequest(PROMPT, num_frames=frames, width=side, height=side, num_inference_steps=steps,
                             guidance_scale=guidance, seed=number)
                for number, (frames, side, steps, guidance)
                in enumerate(itertools.product(FRAMES, SIDES, STEPS, GUIDANCE))]
    chosen = random.Random(1).sample(requests, min(len(requests), 12 * repeats))
    own = VideoRequest(PROMPT, seed=1)
    recipes: list[Recipe] = []
    errors, measured = [], []
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.from_env(data_dir=Path(folder), models_dir=models_dir, model="demo")
        with open_studio(settings) as studio:
            while (status := studio.worker()) is None or status.model != "demo":
                if status is not None and status.error:
                    return {"model": status.error}
                time.sleep(0.1)
            resources = _tried(studio)
            for request in (own, *chosen):
                foreseen = studio.planner.estimate(request).seconds
                job = studio.submit(request)
                for _ in studio.wait(job.id):
                    pass
                video = studio.video(job.id)
                recipes.append(video.known_recipe())
                took = video.runtime
                measured.append(took.denoise_s + took.decode_s + took.encode_s)
                errors.append(foreseen / measured[-1] - 1)
    guesses = {warm: [first_guess(_work(models_dir, recipe), resources, "cpu", warm=warm) / took_s - 1
                      for recipe, took_s in zip(recipes[1:], measured[1:], strict=True)] for warm in (True, False)}
    later = errors[WARM_UP:]
    off = sorted(map(abs, later))
    return {
        "videos": len(errors), "load of the processor (1 minute)": os.getloadavg()[0],
        "error of the first guess, at the model's own size": errors[0],
        "without history, from a step: median error": statistics.median(map(abs, guesses[True])),
        "without history, from a step: median of guessed / measured": statistics.median(guesses[True]) + 1,
        "without history, from a product: median error": statistics.median(map(abs, guesses[False])),
        "without history, from a product: median of guessed / measured": statistics.median(guesses[False]) + 1,
        f"median error after {WARM_UP} videos (aim {AIM})": statistics.median(off),
        "a quarter of the errors is above": off[len(off) * 3 // 4],
        "largest error": off[-1],
        "median of estimated / measured": statistics.median(later) + 1,
        f"within {AIM:.0%}": f"{sum(error <= AIM for error in off)} of {len(off)}",
    }


def _tried(studio: Studio, patience_s: float = 30.0) -> Resources:
    """The worker's resources after its trial step, or without one after `patience_s` seconds."""
    ends = time.monotonic() + patience_s
    while True:
        resources = studio.worker().resources or Resources()
        if resources.step_flops_per_s or time.monotonic() > ends:
            return resources
        time.sleep(0.1)


def _work(models_dir: Path, recipe: Recipe) -> Work:
    shape = family_of(catalog(models_dir)[recipe.model]).shape(models_dir / recipe.model)
    return shape.work(recipe.size, recipe.num_inference_steps, recipe.guided)
