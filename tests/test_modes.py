"""The modes: the promises of each about its frames, on one machine, for every scheduler."""

import numpy as np
import pytest
import torch

from core.diffusion.engine import Engine
from core.diffusion.unet3d.network import Network, lay_out
from core.domain.documents import read
from core.domain.modes import EXACT, FAST, MODES, REFERENCE, ModeSpec, Step, mode_of, plan
from core.domain.receipt import Receipt
from core.domain.recipe import resolve
from core.domain.request import VideoRequest
from core.domain.verdict import causes
from core.domain.video import Video
from core.errors import BadRequest, Paused
from core.families.catalog import catalog
from core.families.registry import SCHEDULERS
from core.settings import REPOSITORY, Settings

MODELS_DIR = REPOSITORY / "data" / "models"


@pytest.fixture(scope="module")
def demo():
    return Engine(Settings.from_env({}, models_dir=MODELS_DIR, device="cpu"))


def asked(models_dir, **values):
    request = {"prompt": "a red ball", "model": "tiny", "num_frames": 4, "num_inference_steps": 6, "width": 40,
               "height": 32, "seed": 7, "guidance_scale": 6.0, **values}
    return resolve(VideoRequest(**request), catalog(models_dir))


def frames_of(engine, recipe):
    return engine.generate(recipe, lambda _: None).frames


def psnr(one, other):
    error = np.mean((one.astype(float) - other.astype(float)) ** 2)
    return float("inf") if error == 0 else 10 * np.log10(255**2 / error)


@pytest.mark.parametrize("guidance_scale", [6.0, 1.0])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("size", [(4, 40, 32), (1, 32, 32), (5, 24, 56)])
def test_exact_frames_are_those_of_the_reference_up_to_the_last_level_here_and_there(
        engine, models_dir, scheduler, guidance_scale, size):
    values = {"scheduler": scheduler, "guidance_scale": guidance_scale,
              **dict(zip(("num_frames", "width", "height"), size, strict=True))}
    exact, reference = (frames_of(engine, asked(models_dir, mode=mode, **values)) for mode in (EXACT, REFERENCE))
    difference = np.abs(exact.astype(int) - reference)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.002


def test_exact_frames_of_the_model_that_ships_are_those_of_the_reference_to_70_db(demo):
    values = {"model": "demo", "num_frames": 8, "width": 64, "height": 64, "num_inference_steps": 6}
    exact, reference = (frames_of(demo, asked(MODELS_DIR, mode=mode, **values)) for mode in (EXACT, REFERENCE))
    assert psnr(exact, reference) >= 70


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("mode", MODES)
def test_the_same_request_in_the_same_mode_makes_the_same_bits_whatever_ran_between(
        engine, models_dir, mode, scheduler):
    recipe = asked(models_dir, mode=mode, scheduler=scheduler)
    first = engine.generate(recipe, lambda _: None)
    for other in MODES:
        frames_of(engine, asked(models_dir, mode=other, prompt="a cat", num_frames=3, num_inference_steps=2))
    again = engine.generate(recipe, lambda _: None)
    assert np.array_equal(again.frames, first.frames)
    assert again.receipt == first.receipt
    assert first.receipt.method["mode"] == mode


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_fast_job_stopped_after_any_step_and_gone_on_makes_the_same_frames(engine, models_dir, scheduler):
    recipe = asked(models_dir, mode=FAST, scheduler=scheduler, num_inference_steps=8)
    checkpoints = {}
    calm = engine.generate(recipe, lambda _: None,
                           on_checkpoint=lambda step, make: checkpoints.update({step: make()}))
    whole = [index for index, step in enumerate(plan(MODES[FAST], 8, 6.0)) if step.whole]
    assert list(checkpoints) == [*whole, 8]
    for checkpoint in checkpoints.values():
        assert engine.generate(recipe, lambda _: None, checkpoint).receipt == calm.receipt


def test_a_fast_job_stopped_at_every_single_step_comes_to_the_same_end(engine, models_dir):
    recipe = asked(models_dir, mode=FAST, num_inference_steps=7)
    calm, checkpoint = engine.generate(recipe, lambda _: None), b""
    for stop in range(1, 8):
        kept, seen = [], []

        def keep(_, make, kept=kept, seen=seen, stop=stop):
            kept.append(make())
            if seen[-1] >= stop:
                raise Paused

        with pytest.raises(Paused):
            engine.generate(recipe, lambda now, seen=seen: seen.append(now.done), checkpoint, keep)
        checkpoint = kept[-1]
    assert engine.generate(recipe, lambda _: None, checkpoint).receipt == calm.receipt


def test_fast_frames_differ_from_exact_ones_and_the_receipt_says_why(engine, models_dir):
    exact, fast = (engine.generate(asked(models_dir, mode=mode), lambda _: None) for mode in (EXACT, FAST))
    assert not np.array_equal(exact.frames, fast.frames)
    assert causes(exact.receipt, fast.receipt) == ("another mode (exact → fast)",)


@pytest.mark.parametrize("guidance_scale", [6.0, 1.0])
def test_a_step_that_takes_over_what_has_not_changed_equals_a_whole_one_at_any_depth(
        engine, models_dir, guidance_scale):
    engine.load("tiny", lambda _: None)
    unet = engine._model.unet
    lay_out(unet, True)
    network = Network(unet)
    embeds = torch.randn(2 if guidance_scale > 1 else 1, 77, 16, generator=torch.Generator().manual_seed(1))
    latents = torch.randn(1, 4, 3, 5, 4, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        time, prompts = network.times(torch.tensor([500])), network.prompts(embeds)
        for depth in range(1, network.depth + 1):
            whole, deep = network(latents, time, prompts, depth)
            assert torch.equal(network(latents, time, prompts, depth, deep)[0], whole)


def test_laying_the_weights_out_and_back_leaves_the_reference_as_it_was(engine, models_dir):
    before = frames_of(engine, asked(models_dir, mode=REFERENCE))
    frames_of(engine, asked(models_dir, mode=EXACT))
    assert np.array_equal(frames_of(engine, asked(models_dir, mode=REFERENCE)), before)


def test_a_plan_makes_every_third_step_in_full_and_the_first_with_guidance():
    def shown(mode, steps, guidance_scale=5.0):
        return "".join(("W" if step.whole else "-") + ("g" if step.guided else " ")
                       for step in plan(mode, steps, guidance_scale))

    third = ModeSpec("m", "M", "", interval=3)
    assert shown(third, 7) == "Wg-g-gWg-g-gWg"
    assert shown(third, 4, 1.0) == "W - - W "
    assert shown(ModeSpec("m", "M", "", interval=3, guided=(0.25, 0.75)), 8) == "W - Wg-g-gWg- - "
    assert shown(ModeSpec("m", "M", "", interval=2.5), 11) == "Wg-g-gWg-gWg-g-gWg-gWg"
    assert plan(MODES[EXACT], 5, 5.0) == plan(MODES[REFERENCE], 5, 5.0) == (Step(),) * 5


def test_a_silent_request_is_made_exactly_and_an_unknown_mode_is_refused():
    assert resolve(VideoRequest("a"), catalog(MODELS_DIR)).mode == EXACT
    with pytest.raises(BadRequest, match="mode: 'turbo' is not offered; choose one of exact, fast, reference"):
        resolve(VideoRequest("a", mode="turbo"), catalog(MODELS_DIR))


def test_videos_older_than_modes_were_made_by_the_reference():
    import json

    path = next((REPOSITORY / "data" / "examples").glob("*.json"))
    document = json.loads(path.read_text())
    document["request"].pop("mode", None)
    document["receipt"].pop("method", None)
    video = Video.from_document(document)
    assert mode_of(None).key == video.recipe.mode == video.receipt.method["mode"] == REFERENCE
    assert resolve(video.recipe.request(), catalog(MODELS_DIR)).mode == REFERENCE
    assert read(Receipt, document["receipt"]).method == MODES[REFERENCE].document("cpu")
