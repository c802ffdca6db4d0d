"""As many steps are made as were asked for, whatever the scheduler makes of the count."""

import json
from pathlib import Path

import pytest

from core.diffusion import sampler
from core.errors import BadRequest
from core.families.registry import MODELS, SCHEDULERS

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
