"""Every scheduler offered makes the same video of the shipped model, or nearly so."""

import numpy as np
import pytest

from core.diffusion.engine import Engine
from core.domain.recipe import resolve
from core.domain.request import VideoRequest
from core.families.catalog import catalog
from core.families.registry import SCHEDULERS
from core.settings import Settings


@pytest.fixture(scope="module")
def frames():
    settings = Settings.from_env({}, device="cpu")
    engine, models = Engine(settings), catalog(settings.models_dir)
    request = VideoRequest("a campfire at night", model="demo", seed=3, num_inference_steps=10)

    def make(key: str) -> np.ndarray:
        asked = resolve(VideoRequest(**{**request.document(), "scheduler": key}), models)
        return engine.generate(asked, lambda _: None).frames.astype(int)

    return {key: make(key) for key in SCHEDULERS}


@pytest.mark.parametrize("key", SCHEDULERS)
def test_a_scheduler_reaches_the_picture_the_others_reach(frames, key):
    assert np.abs(frames[key] - frames["dpmsolver++"]).mean() < 8
