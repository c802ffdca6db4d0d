"""A job that is interrupted after any step resumes to the same result: bit for bit, for every scheduler."""

import json
import subprocess
import sys
import time
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from tiny import make_checkpoint

from core.diffusion import sampler
from core.diffusion.engine import Engine
from core.diffusion.loop_state import LoopState, StateOrigin, pack, unpack
from core.domain.modes import EXACT, MODES
from core.domain.recipe import resolve
from core.domain.request import VideoRequest
from core.errors import Paused
from core.families.catalog import catalog
from core.families.registry import SCHEDULERS
from core.settings import REPOSITORY, Settings

STEPS = 6
CPU = torch.device("cpu")


def engine_on(models_dir):
    return Engine(Settings.from_env({}, models_dir=models_dir, device="cpu"))


@pytest.fixture(scope="module")
def demo():
    return engine_on(REPOSITORY / "data" / "models")


def asked(models_dir, **values):
    request = {"prompt": "a red ball", "model": "tiny", "num_frames": 4, "num_inference_steps": STEPS, "width": 40,
               "height": 32, "seed": 7, "guidance_scale": 6.0, **values}
    return resolve(VideoRequest(**request), catalog(models_dir))


def stopped_after(engine, recipe, step, checkpoint=b""):
    """The checkpoint of a job that was stopped after `step`."""
    kept = []

    def keep(done, make):
        if done == step:
            kept.append(make())
            raise Paused

    with pytest.raises(Paused):
        engine.generate(recipe, lambda _: None, checkpoint, keep)
    return kept[0]


def steps_of(seen):
    return [progress.done for progress in seen if progress.phase == "denoising"]


@pytest.mark.parametrize("guidance_scale", [6.0, 1.0])
@pytest.mark.parametrize("key", SCHEDULERS)
def test_stopped_after_any_step_and_gone_on_the_frames_and_the_receipt_are_the_same(
        engine, models_dir, key, guidance_scale):
    recipe = asked(models_dir, scheduler=key, guidance_scale=guidance_scale)
    checkpoints = {}
    calm = engine.generate(recipe, lambda _: None,
                           on_checkpoint=lambda step, make: checkpoints.update({step: make()}))
    assert list(checkpoints) == list(range(1, STEPS + 1))
    for step, checkpoint in checkpoints.items():
        seen = []
        again = engine.generate(recipe, seen.append, checkpoint)
        assert steps_of(seen) == list(range(step + 1, STEPS + 1)), "only what was left is made"
        assert np.array_equal(again.frames, calm.frames), f"{key} after step {step}"
        assert again.receipt == calm.receipt
        assert again.notes == (f"Continued after step {step} of {STEPS}.",)


@pytest.mark.parametrize("key", SCHEDULERS)
def test_stopped_after_every_single_step_the_frames_are_still_the_same(engine, models_dir, key):
    recipe = asked(models_dir, scheduler=key)
    checkpoint = b""
    for step in range(1, STEPS + 1):
        checkpoint = stopped_after(engine, recipe, step, checkpoint)
    assert engine.generate(recipe, lambda _: None, checkpoint).receipt == \
        engine.generate(recipe, lambda _: None).receipt


@pytest.mark.parametrize("prediction", ["v_prediction", "sample"])
@pytest.mark.parametrize("key", SCHEDULERS)
def test_for_models_of_another_kind_too(tmp_path, key, prediction):
    folder = make_checkpoint(tmp_path / "tiny")
    path = folder / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "prediction_type": prediction,
                                "timestep_spacing": "trailing"}))
    engine, recipe = engine_on(tmp_path), asked(tmp_path, scheduler=key)
    calm = engine.generate(recipe, lambda _: None)
    for step in (1, 4):
        checkpoint = stopped_after(engine, recipe, step)
        assert engine.generate(recipe, lambda _: None, checkpoint).receipt == calm.receipt


@pytest.mark.parametrize("key", SCHEDULERS)
def test_for_the_model_that_ships_too(demo, key):
    recipe = asked(REPOSITORY / "data" / "models", model="demo", scheduler=key, num_frames=8, width=64, height=64,
                   num_inference_steps=4)
    calm = demo.generate(recipe, lambda _: None)
    checkpoint = stopped_after(demo, recipe, 1)
    checkpoint = stopped_after(demo, recipe, 3, checkpoint)
    again = demo.generate(recipe, lambda _: None, checkpoint)
    assert np.array_equal(again.frames, calm.frames)
    assert again.receipt == calm.receipt


PROGRAM = """
import json, pathlib, sys, torch
from core.diffusion.engine import Engine
from core.domain.recipe import Recipe
from core.settings import Settings
models, threads, folder = sys.argv[1], int(sys.argv[2]), pathlib.Path(sys.argv[3])
torch.set_num_threads(threads)
engine = Engine(Settings.from_env({}, models_dir=models, device="cpu"))
for path in sorted(folder.glob("*.json")):
    steps = []
    made = engine.generate(Recipe(**json.loads(path.read_text())),
                           lambda now: steps.append(now.done) if now.phase == "denoising" else None,
                           path.with_suffix(".ckpt").read_bytes())
    print(json.dumps([path.stem, steps, made.receipt.document()]))
"""


def test_a_fresh_process_resumes_where_another_stopped_for_every_scheduler(engine, models_dir, tmp_path):
    calm, left = {}, {}
    for number, key in enumerate(SCHEDULERS, start=2):
        recipe = asked(models_dir, scheduler=key)
        (tmp_path / f"{key}.json").write_text(json.dumps(recipe.document()))
        (tmp_path / f"{key}.ckpt").write_bytes(stopped_after(engine, recipe, number))
        calm[key] = engine.generate(recipe, lambda _: None).receipt.document()
        left[key] = list(range(number + 1, STEPS + 1))
    arguments = [str(models_dir), str(torch.get_num_threads()), str(tmp_path)]
    child = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], cwd=REPOSITORY, capture_output=True,
                           text=True, check=False, timeout=300)
    assert child.returncode == 0, child.stderr
    told = {key: (steps, receipt) for key, steps, receipt in map(json.loads, child.stdout.splitlines())}
    assert {key: steps for key, (steps, _) in told.items()} == left
    assert {key: receipt for key, (_, receipt) in told.items()} == calm


def test_the_time_of_all_parts_is_counted(engine, models_dir):
    recipe = asked(models_dir)
    calm = engine.generate(recipe, lambda _: None).runtime
    checkpoint = b""
    for step in range(1, STEPS):
        checkpoint = stopped_after(engine, recipe, step, checkpoint)
    parts = engine.generate(recipe, lambda _: None, checkpoint).runtime
    assert parts.denoise_s > 0.3 * calm.denoise_s  # the last step alone would be a seventh
    assert parts.total_s >= parts.denoise_s + parts.decode_s


# Refusals


@pytest.mark.parametrize(("change", "why"), [
    ({"seed": 8}, "another request"), ({"prompt": "a blue cat"}, "another request"),
    ({"num_inference_steps": 9}, "another request"), ({"scheduler": "euler"}, "another scheduler configuration"),
])
def test_a_checkpoint_of_another_request_is_not_used(engine, models_dir, change, why):
    recipe = asked(models_dir)
    checkpoint = stopped_after(engine, asked(models_dir, **change), 3)
    seen = []
    made = engine.generate(recipe, seen.append, checkpoint)
    assert steps_of(seen) == list(range(1, STEPS + 1))
    assert made.receipt == engine.generate(recipe, lambda _: None).receipt
    assert made.notes[0].startswith("The job began again with its first step: its checkpoint was made with ")
    assert why in made.notes[0]


def test_a_checkpoint_of_other_weights_is_not_used(engine, models_dir, tmp_path):
    checkpoint = stopped_after(engine, asked(models_dir), 3)
    make_checkpoint(tmp_path / "tiny", seed=1)
    made = engine_on(tmp_path).generate(asked(tmp_path), lambda _: None, checkpoint)
    assert made.notes == ("The job began again with its first step: its checkpoint was made with other weights.",)


def test_a_checkpoint_of_another_machine_is_not_used(engine, models_dir):
    state, origin = loop(engine, models_dir)
    data = pack(state, origin)
    assert unpack(data, origin, CPU)[1] == ""
    elsewhere = replace(origin.environment, num_threads=64, versions={**origin.environment.versions, "torch": "1"})
    found, why = unpack(data, replace(origin, environment=elsewhere), CPU)
    assert found is None
    assert "another number of CPU threads (" in why
    assert "another version of torch (" in why


def test_a_checkpoint_of_another_version_of_the_studio_that_makes_steps_as_this_one_does_is_used(engine, models_dir):
    state, origin = loop(engine, models_dir)
    versions = {**origin.environment.versions, "studio": "0.0.9"}
    older = replace(origin, environment=replace(origin.environment, versions=versions))
    assert "studio" not in origin.document()["environment"]["versions"]
    assert unpack(pack(state, older), origin, CPU)[1] == ""


def test_a_checkpoint_that_0_1_0_wrote_is_used(engine, models_dir, monkeypatch):
    state, origin = loop(engine, models_dir)
    environment = {**asdict(origin.environment), "versions": {**origin.environment.versions, "studio": "0.1.0"}}
    written = {"request": origin.recipe.document(), "weights_sha256": origin.weights_sha256, "method": origin.method,
               "scheduler_config": origin.scheduler_config, "environment": environment}
    monkeypatch.setattr(StateOrigin, "document", lambda _: written)
    data = pack(state, origin)
    monkeypatch.undo()
    back, why = unpack(data, origin, CPU)
    assert why == "" and torch.equal(back.latents, state.latents)


def test_a_checkpoint_of_a_studio_that_made_its_steps_in_another_way_is_not_used(engine, models_dir):
    state, origin = loop(engine, models_dir)
    before = {name: value for name, value in origin.method.items() if name != "linear"}
    assert before != origin.method
    found, why = unpack(pack(state, replace(origin, method=before)), origin, CPU)
    assert found is None and why.endswith("was made with another way of making a step.")


@pytest.mark.parametrize("damage", ["a bit", "cut", "empty", "not ours", "zeros"])
def test_a_damaged_checkpoint_is_not_used(engine, models_dir, damage):
    recipe = asked(models_dir)
    whole = stopped_after(engine, recipe, 3)
    flipped = bytearray(whole)
    flipped[-5] ^= 1
    data = {"a bit": bytes(flipped), "cut": whole[:len(whole) // 2], "empty": b"\0", "not ours": b"RIFF" * 99,
            "zeros": bytes(len(whole))}[damage]
    made = engine.generate(recipe, lambda _: None, data)
    assert made.notes == ("The job began again with its first step: its checkpoint was damaged.",)
    assert made.receipt == engine.generate(recipe, lambda _: None).receipt


def test_a_checkpoint_of_another_format_is_not_used(engine, models_dir, monkeypatch):
    state, origin = loop(engine, models_dir)
    monkeypatch.setattr("core.diffusion.loop_state.FORMAT", 2)
    newer = pack(state, origin)
    monkeypatch.undo()
    assert "another version of the studio" in unpack(newer, origin, CPU)[1]


# The state


def loop(engine, models_dir, key="unipc", shape=(4, 4, 4, 5)):
    """A state and its origin, made without the model."""
    engine.load("tiny", lambda _: None)
    scheduler = sampler.scheduler(SCHEDULERS[key], engine._model.scheduler_config)
    scheduler.set_timesteps(STEPS)
    latents = torch.randn(shape)
    for timestep in scheduler.timesteps[:3]:
        inputs = scheduler.scale_model_input(latents, timestep)
        latents = scheduler.step(torch.randn(shape), timestep, inputs).prev_sample
    origin = StateOrigin(asked(models_dir, scheduler=key), "0" * 64, sampler.config_of(scheduler), engine.environment(),
                         MODES[EXACT].document("cpu"))
    return LoopState(3, latents, sampler._held_by(scheduler)), origin


@pytest.mark.parametrize("key", SCHEDULERS)
def test_everything_the_scheduler_holds_comes_back_with_its_type_and_its_layout(engine, models_dir, key):
    state, origin = loop(engine, models_dir, key)
    state = replace(state, latents=state.latents.permute(1, 0, 2, 3))
    back, _ = unpack(pack(state, origin), origin, CPU)
    assert back.latents.stride() == state.latents.stride()
    assert torch.equal(back.latents, state.latents)
    assert list(back.scheduler) == list(state.scheduler)
    for name, value in state.scheduler.items():
        assert same(back.scheduler[name], value), name


def same(one, other):
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    return type(one) is type(other) and one == other


@pytest.mark.parametrize("key", SCHEDULERS)
def test_its_size_and_cost_at_the_size_of_modelscope(engine, models_dir, key):
    state, origin = loop(engine, models_dir, key, (16, 4, 32, 32))
    half = {name: [item.half() if torch.is_tensor(item) and item.ndim == 4 else item for item in value]
            if isinstance(value, list) else value.half() if torch.is_tensor(value) and value.ndim == 4 else value
            for name, value in state.scheduler.items()}
    state = replace(state, latents=state.latents.half(), scheduler=half)
    times = []
    for _ in range(5):
        started = time.process_time()
        data = pack(state, origin)
        times.append(time.process_time() - started)
    print(f"{key}: {len(data):,} bytes, {min(times) * 1000:.2f} ms")
    assert len(data) < 600_000
    assert min(times) < 0.02


def test_a_value_that_cannot_be_packed_is_found_by_its_type(engine, models_dir):
    state, origin = loop(engine, models_dir)
    with pytest.raises(TypeError, match="holds a Generator"):
        pack(replace(state, scheduler={"generator": torch.Generator()}), origin)
