"""Tests that need a CUDA GPU. Run with `./scripts/test -m gpu` on a machine that has one."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from core.diffusion.engine import Engine
from core.diffusion.report import ProgressReport
from core.diffusion.unet3d.graphs import cuda_graph
from core.diffusion.unet3d.model import load
from core.domain.modes import DECODED_PIXELS, EXACT, FAST, MODES, REFERENCE
from core.domain.recipe import Size, resolve
from core.domain.request import VideoRequest
from core.families import cost
from core.families.catalog import catalog
from core.families.registry import SCHEDULERS
from core.settings import Settings

pytestmark = [
    pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here"),
    # what torch warns of (warn_only) is looked for here by what comes out: the same bits
    pytest.mark.filterwarnings("ignore:.*deterministic:UserWarning")]


@pytest.fixture(scope="module")
def engine(models_dir):
    return Engine(Settings.from_env({}, models_dir=models_dir, device="cuda"))


def engine_that(models_dir, record):
    """An engine whose steps are recorded in that way."""
    return Engine(Settings.from_env({}, models_dir=models_dir, device="cuda"),
                  loaders={"unet3d": partial(load, record=record)})


def made(engine, models_dir, **changes):
    values = {"prompt": "a red ball", "model": "tiny", "seed": 7, "num_inference_steps": 5, **changes}
    return engine.generate(resolve(VideoRequest(**values), catalog(models_dir)), lambda _: None)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_ten_runs_in_half_precision_are_identical(engine, models_dir, scheduler):
    runs = [made(engine, models_dir, scheduler=scheduler) for _ in range(10)]
    assert len({run.receipt.frames_sha256 for run in runs}) == 1
    environment = runs[0].receipt.environment
    assert (environment.device, environment.dtype) == ("cuda", "float16") and environment.device_name


def test_the_noise_is_that_of_the_cpu_and_the_frames_are_near(engine, models_dir):
    on_cpu = Engine(Settings.from_env({}, models_dir=models_dir, device="cpu"))
    here, there = made(engine, models_dir), made(on_cpu, models_dir)
    assert here.receipt.noise_sha256 == there.receipt.noise_sha256
    assert np.abs(here.frames.astype(int) - there.frames.astype(int)).mean() < 8


def test_peak_memory_is_measured_and_given_back(engine, models_dir):
    assert made(engine, models_dir).runtime.peak_memory_bytes > 0
    parts = (engine._model.text_encoder, engine._model.unet, engine._model.vae)
    weights = sum(tensor.nbytes for part in parts for tensor in part.parameters())
    before = torch.cuda.memory_allocated()  # with workspaces of cuBLAS, which stay
    del parts
    engine.unload()
    assert before - torch.cuda.memory_allocated() >= weights


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_each_mode_makes_the_same_bits_again_recorded_or_not(engine, models_dir, mode, scheduler):
    first = made(engine, models_dir, mode=mode, scheduler=scheduler)
    made(engine, models_dir, mode=FAST, num_frames=3, prompt="another")
    assert made(engine, models_dir, mode=mode, scheduler=scheduler).receipt == first.receipt
    afresh = Engine(Settings.from_env({}, models_dir=models_dir, device="cuda"))
    assert made(afresh, models_dir, mode=mode, scheduler=scheduler).receipt == first.receipt


@pytest.mark.parametrize("mode", [EXACT, FAST])
def test_recorded_steps_are_those_made_as_ever(engine, models_dir, mode):
    recorded = made(engine, models_dir, mode=mode).frames
    assert engine._model._graphed is not None and all(engine._model._graphed.kinds().values())

    def refuse(call, pool):
        raise RuntimeError("not wanted here")

    plain = engine_that(models_dir, refuse)
    assert np.array_equal(made(plain, models_dir, mode=mode).frames, recorded)
    assert not any(plain._model._graphed.kinds().values())


def test_a_recording_that_fails_half_way_leaves_the_gpu_usable(engine, models_dir):
    recorded = made(engine, models_dir).frames

    def failing(call, pool):
        def asks():  # asking a GPU for a value cannot be recorded
            predicted, entered = call()
            return predicted * predicted.sum().item(), entered

        return cuda_graph(asks, pool)

    plain = engine_that(models_dir, failing)
    assert np.array_equal(made(plain, models_dir).frames, recorded)
    assert not any(plain._model._graphed.kinds().values())
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    assert np.array_equal(made(engine, models_dir, seed=8).frames, made(plain, models_dir, seed=8).frames)


def test_a_prepared_model_has_its_recordings_and_their_memory_is_counted_and_given_back(models_dir):
    engine = Engine(Settings.from_env({}, models_dir=models_dir, device="cuda"))
    engine.load("tiny", lambda _: None)
    engine.prepare(lambda: None)
    assert list(engine._model._graphed.kinds().values()) == [True, True] and engine._model._graphed.nbytes > 0
    held = torch.cuda.memory_reserved()
    engine.unload()
    assert torch.cuda.memory_reserved() < held


def test_frames_come_chunk_by_chunk_and_are_those_of_the_whole(engine, models_dir, monkeypatch):
    monkeypatch.setitem(DECODED_PIXELS, "cuda", 2 * 32 * 32)
    parts = []
    recipe = resolve(VideoRequest("a red ball", model="tiny", seed=7, num_frames=5, width=32, height=32,
                                  num_inference_steps=2), catalog(models_dir))
    whole = engine.generate(recipe, lambda _: None, on_frames=parts.append)
    assert [len(part) for part in parts] == [0, 2, 2, 1]
    assert np.array_equal(np.concatenate(parts), whole.frames)


@pytest.mark.parametrize("memory", cost.MEMORY_MODES)
@pytest.mark.parametrize("mode", MODES)
def test_each_memory_mode_makes_the_same_bits(engine, models_dir, mode, memory):
    there = Engine(Settings.from_env({}, models_dir=models_dir, device="cuda", memory=memory))
    assert np.array_equal(made(there, models_dir, mode=mode).frames, made(engine, models_dir, mode=mode).frames)


@pytest.mark.parametrize("mode", MODES)
def test_weights_that_were_in_main_memory_make_the_same_bits_when_they_are_back(engine, models_dir, mode):
    moving = Engine(Settings.from_env({}, models_dir=models_dir, device="cuda", memory=cost.RESIDENT))
    never_moved = made(moving, models_dir, mode=mode)
    moving._settings = replace(moving._settings, memory=cost.MODEL_OFFLOAD)
    made(moving, models_dir, mode=mode)
    moving._settings = replace(moving._settings, memory=cost.RESIDENT)
    assert made(moving, models_dir, mode=mode).receipt == never_moved.receipt


def test_a_gpu_is_at_most_one_step_behind_what_is_said(engine, models_dir):
    engine.load("tiny", lambda _: None)
    report = ProgressReport(engine._model, Size(3, 32, 32), lambda _: None, clock=lambda: 0.0)
    latents, steps = torch.zeros(3, 4, 4, 4, device="cuda"), []
    for step in range(2, 8):
        torch.cuda._sleep(100_000_000)
        steps.append(torch.cuda.Event())
        steps[-1].record()
        report.step(step, 9, latents, latents)
        assert all(made.query() for made in steps[:-1])


def test_exact_frames_are_those_of_the_reference_to_50_db(engine, models_dir):
    exact, reference = (made(engine, models_dir, mode=mode).frames.astype(float) for mode in (EXACT, REFERENCE))
    error = np.mean((exact - reference) ** 2)
    assert error == 0 or 10 * np.log10(255**2 / error) >= 50
