"""What only a CUDA GPU can show. Run with `./scripts/test -m gpu` on a machine that has one."""

import numpy as np
import pytest
import torch

from core.diffusion.engine import Engine
from core.models import SCHEDULERS, catalog
from core.request import VideoRequest, resolve
from core.settings import Settings

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")]


@pytest.fixture(scope="module")
def engine(models_dir):
    return Engine(Settings.from_env({}, models_dir=models_dir, device="cuda"))


def made(engine, models_dir, **changes):
    request = VideoRequest("a red ball", model="tiny", seed=7, num_inference_steps=5, **changes)
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
