"""The place of the weights changes no frame: every memory mode, in every mode, for every scheduler."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from core.diffusion.engine import Engine
from core.diffusion.placement import free_bytes, rest_on, visiting
from core.diffusion.unet3d.network import lay_out
from core.domain.modes import EXACT, FAST, MODES, REFERENCE
from core.domain.recipe import resolve
from core.domain.request import VideoRequest
from core.errors import Cancelled, OutOfMemory
from core.families import cost
from core.families.catalog import catalog
from core.families.registry import FAMILIES, SCHEDULERS
from core.settings import Settings

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def engines(models_dir):
    return {mode: Engine(Settings.from_env({}, models_dir=models_dir, device="cpu", memory=mode))
            for mode in ("auto", *cost.MEMORY_MODES)}


def asked(models_dir, **values):
    request = {"prompt": "a red ball", "model": "tiny", "num_frames": 3, "num_inference_steps": 5, "width": 40,
               "height": 32, "seed": 7, "guidance_scale": 6.0, **values}
    return resolve(VideoRequest(**request), catalog(models_dir))


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("memory_mode", [cost.MODEL_OFFLOAD, cost.SEQUENTIAL_OFFLOAD])
@pytest.mark.parametrize("guidance_scale", [6.0, 1.0])
def test_frames_are_the_same_wherever_the_weights_wait(engines, models_dir, guidance_scale, memory_mode, mode,
                                                       scheduler):
    recipe = asked(models_dir, mode=mode, scheduler=scheduler, guidance_scale=guidance_scale)
    resident, offloaded = (engines[name].generate(recipe, lambda _: None)
                           for name in (cost.RESIDENT, memory_mode))
    assert np.array_equal(resident.frames, offloaded.frames)
    said = offloaded.receipt.environment.memory_mode
    assert said == (cost.MODEL_OFFLOAD if mode == REFERENCE else memory_mode)
    assert resident.receipt.environment.memory_mode == cost.RESIDENT


def test_on_a_processor_the_weights_stay_unless_told_otherwise(engines, models_dir):
    made = engines["auto"].generate(asked(models_dir), lambda _: None)
    assert made.receipt.environment.memory_mode == cost.RESIDENT


def test_layer_by_layer_at_most_one_layer_is_in_two_places(engines, models_dir, monkeypatch):
    """The promise of the memory model, counted: what visits at once is never more than the largest layer."""
    now, most = [0], [0]
    real = visiting(CPU)

    def counting(device):
        def around(*modules):
            size = sum(t.nbytes for module in modules for t in module.parameters())
            context = real(*modules)

            class Counted:
                def __enter__(self):
                    now[0] += size
                    most[0] = max(most[0], now[0])
                    return context.__enter__()

                def __exit__(self, *exception):
                    now[0] -= size
                    return context.__exit__(*exception)

            return Counted()
        return around

    engine = engines[cost.SEQUENTIAL_OFFLOAD]
    engine.load("tiny", lambda _: None)
    monkeypatch.setattr("core.diffusion.placement.visiting", counting)
    recipe = asked(models_dir)
    needs = FAMILIES["unet3d"].shape(models_dir / "tiny").memory(recipe.size, recipe.guided, "cpu")
    engine.generate(recipe, lambda _: None)
    assert now == [0]
    assert 0 < most[0] <= max(needs.largest_layer, needs.text, needs.decoder)


def test_weights_come_back_when_a_job_is_cancelled_in_the_middle(engines, models_dir):
    engine = engines[cost.MODEL_OFFLOAD]
    engine.load("tiny", lambda _: None)
    calm = engine.generate(asked(models_dir), lambda _: None)
    before = [parameter.data_ptr() for parameter in engine._model.unet.parameters()]

    def stop(progress):
        if progress.phase == "denoising" and progress.done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        engine.generate(asked(models_dir), stop)
    assert [parameter.data_ptr() for parameter in engine._model.unet.parameters()] == before
    assert engine.generate(asked(models_dir), lambda _: None).receipt == calm.receipt


def test_a_job_left_in_one_memory_mode_begins_again_in_another_and_makes_the_same_frames(engines, models_dir):
    recipe, kept = asked(models_dir), []
    calm = engines[cost.RESIDENT].generate(recipe, lambda _: None,
                                           on_checkpoint=lambda step, make: kept.append(make()))
    made = engines[cost.SEQUENTIAL_OFFLOAD].generate(recipe, lambda _: None, kept[2])
    assert np.array_equal(made.frames, calm.frames)
    assert "another memory mode" in made.notes[0]


@pytest.mark.parametrize("mode", [EXACT, FAST])
def test_a_recipe_that_does_not_fit_fails_with_advice(engines, models_dir, mode):
    engine = engines["auto"]
    recipe = replace(asked(models_dir, mode=mode), num_frames=64, width=8 << 20, height=8 << 20)
    with pytest.raises(OutOfMemory) as failed:
        engine.generate(recipe, lambda _: None)
    sentence = str(failed.value)
    free = free_bytes(CPU)
    if free is None:
        assert "fewer frames" in sentence
    else:
        assert "GB are free; 64 frames of " in sentence and sentence.endswith(" should fit.")
    assert engine.generate(asked(models_dir), lambda _: None).frames.shape[0] == 3


def test_weights_that_moved_while_a_video_was_made_are_multiplied_as_those_that_did_not():
    moved, stayed = (torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Conv2d(4, 4, 3)) for _ in range(2))
    columns = torch.randn(4, 8, 6).transpose(1, 2)  # a GPU's normalisation hands them out in that order
    with torch.inference_mode():
        for model in (moved, stayed):
            lay_out(model, True)
        rest_on(moved, torch.device("meta"))
        assert not any(weights.is_inference() for weights in moved.parameters())
        with torch.profiler.profile() as there:
            moved[0](columns.to("meta"))
        with torch.profiler.profile() as here:
            torch.nn.functional.linear(columns, stayed[0].weight, stayed[0].bias)
    products = [[event.name for event in profile.events() if event.name in ("aten::mm", "aten::bmm")]
                for profile in (here, there)]
    assert products == [["aten::mm"], ["aten::mm"]]
