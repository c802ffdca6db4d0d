"""The requested number of steps is made, for every scheduler."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import samples
from tiny import make_checkpoint

from core.diffusion import sampler
from core.diffusion.engine import Engine
from core.domain.modes import MODES
from core.domain.recipe import resolve
from core.domain.request import VideoRequest
from core.errors import BadRequest
from core.families.catalog import catalog
from core.families.registry import MODELS, SCHEDULERS
from core.library.media.metrics import psnr
from core.planning.step_counts import extra_step, has_one_too_many
from core.settings import Settings

DEMO = Path(__file__).resolve().parent.parent / "data" / "models" / "demo" / "scheduler" / "scheduler_config.json"
SPACINGS = ("trailing", "leading", "linspace")
ONE_TOO_MANY = 61
MOST = int(max(spec.limits.num_inference_steps.high for spec in MODELS.values()))


def scheduler_of(key, **changes):
    return sampler.scheduler(SCHEDULERS[key], {**json.loads(DEMO.read_text(encoding="utf-8")), **changes})


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("key", SCHEDULERS)
def test_every_count_up_to_the_limit_and_far_beyond_has_that_many_different_steps(key, spacing):
    for count in range(1, max(MOST, 300) + 1):
        scheduler = scheduler_of(key, timestep_spacing=spacing)
        sampler.set_steps(scheduler, count)
        timesteps = scheduler.timesteps.tolist()
        assert len(timesteps) == len(set(timesteps)) == count and timesteps == sorted(timesteps, reverse=True)
        assert timesteps[-1] >= 0
        sigmas = getattr(scheduler, "sigmas", None)
        assert sigmas is None or key == "ddim" or len(sigmas) == count + 1


@pytest.mark.parametrize("key", SCHEDULERS)
def test_the_library_itself_still_makes_one_too_many_and_only_that_one_is_left_out(key):
    theirs, ours = scheduler_of(key), scheduler_of(key)
    theirs.set_timesteps(ONE_TOO_MANY)
    sampler.set_steps(ours, ONE_TOO_MANY)
    assert theirs.timesteps.tolist() == [*ours.timesteps.tolist(), -1]


def test_more_steps_than_a_model_was_trained_with_are_refused_with_a_sentence():
    with pytest.raises(BadRequest, match="num_inference_steps: 1000 .* fewer steps"):
        sampler.set_steps(scheduler_of("unipc", timestep_spacing="leading"), 1000)


def test_the_counts_of_the_older_studio_are_known_without_torch():
    scheduler = scheduler_of("ddim")
    found = []
    for count in range(1, 301):
        scheduler.set_timesteps(count)
        if len(scheduler.timesteps) > count:
            found.append(count)
    assert found == [count for count in range(1, 301) if has_one_too_many(count, 1000)]
    assert found[:4] == [61, 103, 121, 122]


@pytest.mark.parametrize(("studio", "steps", "spacing", "said"), [
    ("0.1.0", 61, "trailing", True), ("0.1.0", 60, "trailing", False), ("0.2.0", 61, "trailing", False),
    ("0.1.0", 61, "leading", False)])
def test_an_old_video_of_such_a_count_is_named_with_the_reason(studio, steps, spacing, said):
    receipt = samples.video().receipt
    receipt = replace(receipt, environment=replace(receipt.environment, versions={"studio": studio}),
                      scheduler_config={"timestep_spacing": spacing, "num_train_timesteps": 1000})
    causes = extra_step(receipt, steps)
    assert bool(causes) == said and (not said or f"{steps + 1} steps" in causes[0])


@pytest.mark.parametrize("mode", MODES)
def test_a_video_of_61_steps_looks_like_one_of_60_and_tells_61(tmp_path, mode):
    folder = make_checkpoint(tmp_path / "tiny")
    config = folder / "scheduler" / "scheduler_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text(encoding="utf-8")), "timestep_spacing": "trailing"}),
                      encoding="utf-8")
    engine, told = Engine(Settings.from_env({}, models_dir=tmp_path, device="cpu")), []

    def frames(steps):
        recipe = resolve(VideoRequest("a cat", model="tiny", seed=3, num_frames=2, width=32, height=32, mode=mode,
                                      num_inference_steps=steps), catalog(tmp_path))
        return engine.generate(recipe, told.append).frames

    ours, near = frames(ONE_TOO_MANY), frames(ONE_TOO_MANY - 1)
    steps = [each.done for each in told if each.phase == "denoising" and each.total == ONE_TOO_MANY]
    assert steps == list(range(1, ONE_TOO_MANY + 1))
    assert psnr(ours, near) > 25 and np.ptp(ours) > 20
