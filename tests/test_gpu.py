"""What only a CUDA GPU can show. Run with `./scripts/test -m gpu` on a machine that has one."""

import numpy as np
import pytest
import torch

from core import cost
from core.diffusion.engine import Engine
from core.models import SCHEDULERS, catalog
from core.modes import EXACT, FAST, MODES, REFERENCE
from core.request import VideoRequest, resolve
from core.settings import Settings

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")]


@pytest.fixture(scope="module")
def engine(models_dir):
    return Engine(Settings.from_env({}, models_dir=models_dir, device="cuda"))


def made(engine, models_dir, **changes):
    values = {"prompt": "a red ball", "model": "tiny", "seed": 7, "num_inference_steps": 5, **changes}
    request = VideoRequest(**values)
    return engine.generate(resolve(request, catalog(models_dir)), lambda _: None)


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
    engine.unload()
    assert torch.cuda.memory_allocated() < 10 * 2**20


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_each_mode_makes_the_same_bits_again_recorded_or_not(engine, models_dir, mode, scheduler):
    first = made(engine, models_dir, mode=mode, scheduler=scheduler)
    made(engine, models_dir, mode=FAST, num_frames=3, prompt="another")
    assert made(engine, models_dir, mode=mode, scheduler=scheduler).receipt == first.receipt
    afresh = Engine(Settings.from_env({}, models_dir=models_dir, device="cuda"))
    assert made(afresh, models_dir, mode=mode, scheduler=scheduler).receipt == first.receipt


@pytest.mark.parametrize("mode", [EXACT, FAST])
def test_recorded_steps_are_those_made_as_ever(engine, models_dir, mode, monkeypatch):
    recorded = made(engine, models_dir, mode=mode).frames
    assert engine._graphed is not None and all(engine._graphed._recordings.values())
    plain = Engine(Settings.from_env({}, models_dir=models_dir, device="cuda"))
    monkeypatch.setattr("core.diffusion.engine.Graphed", lambda network: network)
    assert np.array_equal(made(plain, models_dir, mode=mode).frames, recorded)


@pytest.mark.parametrize("memory", cost.MEMORY_MODES)
@pytest.mark.parametrize("mode", MODES)
def test_each_memory_mode_makes_the_same_bits(engine, models_dir, mode, memory):
    there = Engine(Settings.from_env({}, models_dir=models_dir, device="cuda", memory=memory))
    assert np.array_equal(made(there, models_dir, mode=mode).frames, made(engine, models_dir, mode=mode).frames)


def test_exact_frames_are_those_of_the_reference_to_50_db(engine, models_dir):
    exact, reference = (made(engine, models_dir, mode=mode).frames.astype(float) for mode in (EXACT, REFERENCE))
    error = np.mean((exact - reference) ** 2)
    assert error == 0 or 10 * np.log10(255**2 / error) >= 50
