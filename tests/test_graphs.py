"""Recorded calls: copies in and out, calls that share a recording, and calls without a recording.

There is no GPU here: a recording is made again by calling, and writes its results where the first call did.
"""

from functools import partial

import numpy as np
import pytest
import torch

from core.diffusion.engine import Engine
from core.diffusion.unet3d.buckets import Buckets
from core.diffusion.unet3d.graphs import Graphed, Recorded
from core.diffusion.unet3d.model import load
from core.diffusion.unet3d.network import Network, lay_out
from core.domain.modes import EXACT, FAST, REFERENCE
from core.domain.recipe import resolve
from core.domain.request import VideoRequest
from core.errors import Cancelled
from core.families import cost
from core.families.catalog import catalog
from core.families.registry import FAMILIES
from core.settings import Settings


@pytest.fixture(scope="module")
def network(models_dir):
    engine = Engine(Settings.from_env({}, models_dir=models_dir, device="cpu"))
    engine.load("tiny", lambda _: None)
    lay_out(engine._model.unet, True)
    return Network(engine._model.unet)


class Recorder:
    """Records as a graph does: the results stay in one place, and a replay writes them there."""

    def __init__(self):
        self.recorded = self.replayed = 0
        self.pools = []

    def __call__(self, call, pool):
        self.recorded += 1
        self.pools.append(pool)
        made = tuple(tensor.clone() for tensor in call())

        def replay():
            self.replayed += 1
            for place, tensor in zip(made, call(), strict=True):
                place.copy_(tensor)

        return Recorded(replay, made, sum(tensor.nbytes for tensor in made), pool or f"pool {self.recorded}")


def noise(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def given(network, seed, frames=3, prompts=2):
    with torch.inference_mode():
        return (noise(1, 4, frames, 4, 4, seed=seed), network.times(torch.tensor([100 + seed])),
                network.prompts(noise(prompts, 77, 16, seed=seed)))


def test_a_replayed_call_makes_what_the_network_makes_for_other_latents_times_and_prompts(network):
    recorder = Recorder()
    graphed = Graphed(network, recorder)
    results = []
    with torch.inference_mode():
        for seed in (1, 2, 3):
            arguments = given(network, seed)
            whole, deep = graphed(*arguments)
            results.append((arguments, whole, deep))
            kept, _ = graphed(*arguments, 1, deep)
            assert torch.equal(kept, whole)
        for arguments, whole, deep in results:  # earlier results are not written over by later calls
            expected = network(*arguments)
            assert torch.equal(whole, expected[0]) and torch.equal(deep, expected[1])
    assert (recorder.recorded, recorder.replayed) == (2, 6)


def test_each_kind_of_call_of_each_size_has_a_recording_and_a_size_has_one_pool(network):
    recorder = Recorder()
    graphed = Graphed(network, recorder)
    with torch.inference_mode():
        for prompts in (2, 1, 2, 1):
            graphed(*given(network, 1, prompts=prompts))
        assert recorder.recorded == 2
        for frames in (2, 3, 2, 3):
            graphed(*given(network, 1, frames=frames))
        assert recorder.recorded == 3
    assert recorder.pools == [None, "pool 1", None]
    assert list(graphed.kinds().values()) == [True] * 3 and graphed.nbytes > 0


def test_when_there_are_too_many_sizes_the_one_used_longest_ago_is_recorded_again(network):
    recorder = Recorder()
    graphed = Graphed(network, recorder, most=2)
    with torch.inference_mode():
        for frames, recorded in ((1, 1), (2, 2), (1, 2), (3, 3), (1, 3), (2, 4)):
            graphed(*given(network, 1, frames=frames))
            assert recorder.recorded == recorded, frames


def test_room_is_made_by_letting_other_sizes_go_the_longest_unused_first():
    buckets = Buckets(most=4)
    for size, nbytes in ((1, 10), (2, 20), (3, 30), (4, 40)):
        buckets.of(size).nbytes = nbytes
    buckets.of(1)  # used again
    assert buckets.make_room(4, 60) == 0  # 10 + 20 + 30 beside its own
    assert buckets.make_room(4, 59) == 20
    assert [size for size, _ in buckets.items()] == [3, 4, 1] and buckets.nbytes == 80
    assert buckets.make_room(5, 0) == 80 and buckets.nbytes == 0


def test_where_recording_fails_the_call_is_made_as_ever_and_the_log_says_so(network, caplog):
    def refuse(call, pool):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    graphed = Graphed(network, refuse)
    with torch.inference_mode():
        arguments = given(network, 1)
        for _ in range(2):
            assert torch.equal(graphed(*arguments)[0], network(*arguments)[0])
    assert caplog.text.count("A step of 1×4×3×4×4 cannot be recorded") == 1
    assert list(graphed.kinds().values()) == [False]
    assert "stream is capturing" in caplog.text


# The engine


def engine_of(models_dir, record=None, **changes):
    return Engine(Settings.from_env({}, models_dir=models_dir, device="cpu", **changes),
                  loaders={"unet3d": partial(load, record=record)})


def asked(models_dir, **values):
    request = {"prompt": "a red ball", "model": "tiny", "num_frames": 3, "num_inference_steps": 4, "width": 32,
               "height": 32, "seed": 7, "guidance_scale": 6.0, **values}
    return resolve(VideoRequest(**request), catalog(models_dir))


@pytest.fixture(scope="module")
def plain(models_dir):
    return engine_of(models_dir)


def test_recorded_videos_equal_unrecorded_ones_whatever_ran_before(plain, models_dir):
    recorder = Recorder()
    engine = engine_of(models_dir, recorder)
    order = [asked(models_dir, **changes) for changes in (
        {}, {"mode": FAST}, {"prompt": "a cat", "seed": 9}, {"num_frames": 2, "mode": FAST},
        {"guidance_scale": 1.0},
        {"mode": REFERENCE}, {"mode": FAST}, {})]
    for recipe in order:
        ours, theirs = (made.generate(recipe, lambda _: None) for made in (engine, plain))
        assert ours.receipt == theirs.receipt and np.array_equal(ours.frames, theirs.frames), recipe
    assert recorder.replayed > recorder.recorded > 0


def test_a_prepared_model_records_nothing_for_its_first_videos(models_dir):
    recorder = Recorder()
    engine = engine_of(models_dir, recorder)
    engine.prepare(lambda: None)
    assert recorder.recorded == 0  # no model is warm
    engine.load("tiny", lambda _: None)
    engine.prepare(lambda: None)
    prepared = recorder.recorded
    own = resolve(VideoRequest("a cat", model="tiny"), catalog(models_dir))
    for mode in (EXACT, FAST):
        size = {"num_frames": own.num_frames, "width": own.width, "height": own.height, "num_inference_steps": 2}
        engine.generate(asked(models_dir, mode=mode, **size), lambda _: None)
    assert recorder.recorded == prepared == 2


def test_a_step_is_tried_where_nothing_is_recorded_too_and_says_how_fast_the_model_is(
        plain, models_dir, monkeypatch):
    engine = engine_of(models_dir)
    engine.load("tiny", lambda _: None)
    assert engine.resources().step_flops_per_s == 0
    engine.prepare(lambda: None)
    assert 10**6 < engine.resources().step_flops_per_s < 10**14
    recipe = asked(models_dir)
    assert engine.generate(recipe, lambda _: None).receipt == plain.generate(recipe, lambda _: None).receipt
    engine.unload()
    assert engine.resources().step_flops_per_s == 0
    monkeypatch.setattr("core.diffusion.capacity.LONGEST_TRIAL_S", 0.0)
    engine.load("tiny", lambda _: None)
    engine.prepare(lambda: None)
    assert engine.resources().step_flops_per_s == 0


def test_preparing_ends_when_something_else_is_wanted_and_the_engine_continues(plain, models_dir):
    recorder, asks = Recorder(), []

    def alive():
        asks.append(recorder.recorded)
        if len(asks) == 2:
            raise Cancelled

    engine = engine_of(models_dir, recorder)
    engine.load("tiny", lambda _: None)
    with pytest.raises(Cancelled):
        engine.prepare(alive)
    assert asks == [0, 1]
    recipe = asked(models_dir)
    assert engine.generate(recipe, lambda _: None).receipt == plain.generate(recipe, lambda _: None).receipt


def test_a_failed_recording_beforehand_is_a_line_in_the_log_and_videos_are_made(plain, models_dir, caplog):
    def refuse(call, pool):
        raise RuntimeError("CUDA error: operation not permitted")

    engine = engine_of(models_dir, refuse)
    engine.load("tiny", lambda _: None)
    engine.prepare(lambda: None)
    assert "cannot be recorded and runs without a recording: CUDA error: operation not permitted" in caplog.text
    recipe = asked(models_dir)
    assert engine.generate(recipe, lambda _: None).receipt == plain.generate(recipe, lambda _: None).receipt


def test_without_memory_for_recordings_steps_are_made_as_ever_and_the_log_says_so(
        plain, models_dir, caplog, monkeypatch):
    recipe, recorder = asked(models_dir), Recorder()
    engine = engine_of(models_dir, recorder)
    engine.load("tiny", lambda _: None)
    needs = engine_needs(models_dir, recipe)
    monkeypatch.setattr("core.diffusion.placement.free_bytes", lambda device: needs.needed() + needs.decoding - 1)
    made = engine.generate(recipe, lambda _: None)
    assert "Steps are not recorded" in caplog.text and recorder.recorded == 0
    assert made.receipt == plain.generate(recipe, lambda _: None).receipt
    monkeypatch.setattr("core.diffusion.placement.free_bytes", lambda device: needs.needed() + needs.decoding)
    engine.generate(recipe, lambda _: None)
    assert recorder.recorded == 1


def engine_needs(models_dir, recipe):
    return FAMILIES["unet3d"].shape(models_dir / "tiny").memory(recipe.size, recipe.guided, "cpu")


@pytest.mark.parametrize("memory", [cost.MODEL_OFFLOAD, cost.SEQUENTIAL_OFFLOAD])
def test_where_weights_move_nothing_is_recorded(models_dir, memory):
    recorder = Recorder()
    engine = engine_of(models_dir, recorder, memory=memory)
    engine.load("tiny", lambda _: None)
    engine.prepare(lambda: None)
    engine.generate(asked(models_dir), lambda _: None)
    assert recorder.recorded == 0


@pytest.mark.parametrize("says", [torch.OutOfMemoryError("CUDA out of memory."),
                                  RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED")])
def test_where_a_recording_finds_no_memory_the_earlier_ones_make_room_and_the_call_is_made_as_ever(network, says):
    recorder, short = Recorder(), [False]

    def record(call, pool):
        if short[0]:
            raise says
        return recorder(call, pool)

    graphed = Graphed(network, record)
    with torch.inference_mode():
        graphed(*given(network, 1, frames=2))
        arguments = given(network, 1)
        whole, deep = graphed(*arguments)
        short[0] = True
        assert torch.equal(graphed(*arguments, 1, deep)[0], network(*arguments, 1, deep)[0])
        assert graphed.nbytes == 0 and list(graphed.kinds().values()) == [False, False]
        short[0] = False
        assert torch.equal(graphed(*arguments)[0], whole) and recorder.recorded == 2  # this size stays as it is
        graphed(*given(network, 1, frames=2))
        assert recorder.recorded == 3
