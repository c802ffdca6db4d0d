"""The engine: progress, cancel, warm models, repetition, and its errors."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import make_checkpoint

from core.diffusion.device import has_kernels
from core.diffusion.engine import Engine
from core.diffusion.failures import meaning
from core.domain.models import NEGATIVE_PROMPT
from core.domain.receipt import Environment
from core.domain.recipe import resolve
from core.domain.request import VideoRequest
from core.domain.verdict import environment_causes
from core.errors import BadRequest, Cancelled, InvalidFrames, ModelUnavailable, OutOfMemory, WorkerLost
from core.families.catalog import catalog
from core.families.unet3d.shape import Architecture, architecture
from core.settings import REPOSITORY, Settings


def asked(models_dir, **values):
    request = {"prompt": "a red ball", "model": "tiny", "num_frames": 4, "num_inference_steps": 4, "width": 32,
               "height": 32, "seed": 7, "guidance_scale": 6.0, **values}
    return resolve(VideoRequest(**request), catalog(models_dir))


def test_a_recipe_becomes_frames_and_a_receipt_that_proves_them(engine, models_dir):
    recipe = asked(models_dir, num_frames=3, width=40, height=24)
    made = engine.generate(recipe, lambda _: None)
    assert made.frames.shape == (3, 24, 40, 3)
    assert made.frames.dtype == np.uint8
    assert made.frames.flags.c_contiguous
    receipt = made.receipt
    assert receipt.frames_sha256 == hashlib.sha256(made.frames.tobytes()).hexdigest()
    assert (receipt.model, receipt.model_source, receipt.model_revision) == ("tiny", "folder", "")
    assert receipt.environment == engine.environment()
    assert receipt.environment.num_threads == torch.get_num_threads()
    assert receipt.environment.dtype == "float32"
    assert json.loads(json.dumps(receipt.document(), allow_nan=False)) == receipt.document()
    assert made.runtime.total_s >= made.runtime.denoise_s + made.runtime.decode_s > 0
    assert made.runtime.peak_memory_bytes > 0
    assert made.notes == ()


def test_progress_names_every_step_and_every_frame(models_dir):
    engine = Engine(Settings.from_env({}, models_dir=models_dir, device="cpu"))
    seen = []
    engine.generate(asked(models_dir, num_inference_steps=6), seen.append)
    assert seen[0].phase == "loading"
    steps = [p for p in seen if p.phase == "denoising"]
    assert [(p.done, p.total) for p in steps] == [(k, 6) for k in range(1, 7)]
    assert [(p.done, p.total) for p in seen if p.phase == "decoding"] == [(4, 4)]
    assert steps[0].preview[:4] == steps[-1].preview[:4] == b"RIFF"
    assert engine.loaded == "tiny"


@pytest.mark.parametrize(("phase", "done"), [("denoising", 1), ("denoising", 3), ("decoding", 4)])
def test_cancel_ends_the_work_there_and_leaves_the_engine_warm(engine, models_dir, phase, done):
    recipe = asked(models_dir)
    before = engine.generate(recipe, lambda _: None)
    seen = []

    def cancel(progress):
        seen.append(progress)
        if (progress.phase, progress.done) == (phase, done):
            raise Cancelled

    with pytest.raises(Cancelled):
        engine.generate(recipe, cancel)
    assert (seen[-1].phase, seen[-1].done) == (phase, done)
    assert engine.loaded == "tiny"
    loads = []
    after = engine.generate(recipe, loads.append)
    assert "loading" not in {p.phase for p in loads}
    assert after.receipt == before.receipt


def test_cancel_while_loading_leaves_no_model_and_the_next_request_loads_it(models_dir):
    engine = Engine(Settings.from_env({}, models_dir=models_dir, device="cpu"))

    def cancel(_):
        raise Cancelled

    with pytest.raises(Cancelled):
        engine.generate(asked(models_dir), cancel)
    assert engine.loaded == ""
    assert engine.generate(asked(models_dir), lambda _: None).frames.shape[0] == 4


def test_the_same_request_makes_the_same_bits_ten_times_out_of_ten(engine, models_dir):
    recipe = asked(models_dir)
    receipts = {json.dumps(engine.generate(recipe, lambda _: None).receipt.document()) for _ in range(10)}
    assert len(receipts) == 1


def test_a_fresh_process_makes_the_same_bits(engine, models_dir):
    recipe = asked(models_dir)
    program = f"""
import json, sys, torch
from core.diffusion.engine import Engine
from core.domain.recipe import Recipe
from core.settings import Settings
torch.set_num_threads({torch.get_num_threads()})
engine = Engine(Settings.from_env({{}}, models_dir={str(models_dir)!r}, device="cpu"))
made = engine.generate(Recipe(**json.loads(sys.argv[1])), lambda _: None)
print(json.dumps(made.receipt.document()))
"""
    done = subprocess.run([sys.executable, "-c", program, json.dumps(recipe.document())], cwd=REPOSITORY,
                          capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == engine.generate(recipe, lambda _: None).receipt.document()
    assert done.stderr == "", "the libraries' chatter stays off the worker's stderr"


@pytest.mark.parametrize("cap", [{"ATEN_CPU_CAPABILITY": "avx2"}, {"ONEDNN_MAX_CPU_ISA": "AVX2"}])
def test_a_processor_held_to_other_instructions_has_another_receipt(engine, cap):
    program = """
import json, torch
from dataclasses import asdict
from core.diffusion.device import environment
print(json.dumps(asdict(environment(torch.device("cpu")))))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True,
                          check=True, env={**Settings.from_env({}).process_environ(), **cap}, timeout=300)
    held, ours = Environment(**json.loads(done.stdout)), engine.environment()
    assert held.cpu_capability != ours.cpu_capability
    assert any(cause.startswith("other CPU instructions (") for cause in environment_causes(ours, held))
    assert "cudnn" in ours.versions


def test_seed_prompt_and_scheduler_each_change_the_frames(engine, models_dir):
    first = engine.generate(asked(models_dir), lambda _: None).receipt
    for change in ({"seed": 8}, {"prompt": "a blue cat"}, {"scheduler": "euler"}, {"negative_prompt": "cat"}):
        other = engine.generate(asked(models_dir, **change), lambda _: None).receipt
        assert other.frames_sha256 != first.frames_sha256, change
        assert (other.noise_sha256 != first.noise_sha256) == ("seed" in change)


def test_another_model_takes_the_place_of_the_warm_one(models_dir, tmp_path):
    make_checkpoint(tmp_path / "tiny")
    make_checkpoint(tmp_path / "other", channels=12, seed=3)
    engine = Engine(Settings.from_env({}, models_dir=tmp_path, device="cpu"))
    first = engine.generate(asked(tmp_path), lambda _: None).receipt
    second = engine.generate(asked(tmp_path, model="other"), lambda _: None).receipt
    assert engine.loaded == "other"
    assert first.weights_sha256 != second.weights_sha256
    assert engine.generate(asked(tmp_path), lambda _: None).receipt == first
    engine.unload()
    assert engine.loaded == ""


def test_a_model_of_16_latent_channels_works_too(tmp_path):
    make_checkpoint(tmp_path / "wide", latent_channels=16)
    engine = Engine(Settings.from_env({}, models_dir=tmp_path, device="cpu"))
    assert engine.generate(asked(tmp_path, model="wide"), lambda _: None).frames.shape == (4, 32, 32, 3)


def test_frames_have_the_size_asked_for_also_where_the_configuration_is_odd(tmp_path):
    folder = make_checkpoint(tmp_path / "tiny", levels=3)
    engine, recipe = Engine(Settings.from_env({}, models_dir=tmp_path, device="cpu")), asked(tmp_path)
    before = engine.generate(recipe, lambda _: None)
    path = folder / "unet" / "config.json"
    path.write_text(path.read_text().replace('"layers_per_block": 1', '"layers_per_block": true'))
    assert architecture(folder) == Architecture(), "a shape that cannot be read is taken for the family's"
    engine.unload()
    assert np.array_equal(engine.generate(recipe, lambda _: None).frames, before.frames)


def test_the_unread_part_of_a_prompt_is_named(engine, models_dir):
    long = asked(models_dir, prompt="ball " * 89, negative_prompt="cat " * 200)
    notes = engine.generate(long, lambda _: None).notes
    assert notes[1] == "The prompt has 91 tokens; the model reads the first 77."
    assert notes[0].startswith("The negative prompt has ")
    unguided = engine.generate(replace(long, guidance_scale=1.0), lambda _: None).notes
    assert unguided == notes[1:], "without guidance the negative prompt is not read at all"


def test_the_studios_own_negative_prompt_is_not_remarked_on_however_little_the_model_reads(tmp_path):
    folder = make_checkpoint(tmp_path / "tiny")
    path = folder / "tokenizer" / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "model_max_length": 20}))
    engine = Engine(Settings.from_env({}, models_dir=tmp_path, device="cpu"))
    recipe = asked(tmp_path)
    assert recipe.negative_prompt == NEGATIVE_PROMPT
    assert engine.generate(recipe, lambda _: None).notes == ()
    own = engine.generate(replace(recipe, negative_prompt=f"{NEGATIVE_PROMPT}, cat"), lambda _: None).notes
    assert len(own) == 1 and own[0].startswith("The negative prompt has ")


def spoil(folder, part, name, value):
    """Fill one tensor of a checkpoint with `value`."""
    from safetensors.torch import load_file, save_file

    path = next((folder / part).glob("*.safetensors"))
    tensors = load_file(path)
    tensors[name] = torch.full_like(tensors[name], value)
    save_file(tensors, path, metadata={"format": "pt"})


@pytest.mark.parametrize(("part", "tensor"), [("unet", "conv_out.bias"), ("vae", "decoder.conv_out.bias")])
def test_values_that_are_not_numbers_fail_the_job(tmp_path, part, tensor):
    spoil(make_checkpoint(tmp_path / "tiny"), part, tensor, float("nan"))
    engine = Engine(Settings.from_env({}, models_dir=tmp_path, device="cpu"))
    with pytest.raises(InvalidFrames, match="not numbers"):
        engine.generate(asked(tmp_path), lambda _: None)
    assert engine.loaded == "tiny"


def test_a_clip_of_one_flat_colour_fails_the_job(tmp_path):
    spoil(make_checkpoint(tmp_path / "tiny"), "vae", "decoder.conv_out.weight", 0.0)
    with pytest.raises(InvalidFrames, match="one flat colour"):
        Engine(Settings.from_env({}, models_dir=tmp_path, device="cpu")).generate(asked(tmp_path), lambda _: None)


def test_a_size_the_vae_cannot_make_is_refused_with_its_field(engine, models_dir):
    with pytest.raises(BadRequest) as refused:
        engine.generate(replace(asked(models_dir), width=36), lambda _: None)
    assert refused.value.field == "width"


def test_frames_that_do_not_fit_into_memory_end_in_a_sentence_and_leave_the_engine_warm(engine, models_dir):
    recipe = asked(models_dir)
    engine.load("tiny", lambda _: None)
    with pytest.raises(OutOfMemory, match="fewer frames"):  # latents of some 2 PB: no machine has them
        engine.generate(replace(recipe, width=8 << 22, height=8 << 22), lambda _: None)
    assert engine.loaded == "tiny"
    assert engine.generate(recipe, lambda _: None).frames.shape[0] == 4


def test_errors_of_torch_become_sentences_for_a_person():
    assert isinstance(meaning(torch.OutOfMemoryError("CUDA out of memory."), "x"), OutOfMemory)
    assert isinstance(meaning(MemoryError(), "x"), OutOfMemory)
    assert isinstance(meaning(RuntimeError("CUDA error: device-side assert triggered"), "x"), WorkerLost)
    assert isinstance(meaning(RuntimeError("CUBLAS_STATUS_ALLOC_FAILED"), "x"), OutOfMemory)
    assert isinstance(meaning(RuntimeError("CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED"), ""), OutOfMemory)
    assert isinstance(meaning(RuntimeError("could not create a primitive"), "x"), WorkerLost)
    assert meaning(RuntimeError("could not create a primitive descriptor for the convolution"), "x") is None
    assert meaning(RuntimeError("shapes cannot be multiplied"), "x") is None


def test_a_gpu_that_is_lost_while_a_model_makes_way_for_another_loses_the_worker(models_dir):
    class Lost(Engine):
        def _give_back(self):
            raise RuntimeError("CUDA error: unspecified launch failure")

    engine = Lost(Settings.from_env({}, device="cpu", models_dir=models_dir))
    engine.load("tiny", lambda _: None)
    source = engine._model.source
    engine._model.source = replace(source, spec=replace(source.spec, key="another"))
    with pytest.raises(WorkerLost, match="while loading"):
        engine.load("tiny", lambda _: None)


@pytest.mark.parametrize(("capability", "built_for", "runs"), [
    ((8, 6), ["sm_80"], True), ((8, 0), ["sm_86"], False), ((6, 1), ["sm_75", "sm_80", "compute_120"], False),
    ((12, 1), ["sm_80", "sm_120"], True), ((9, 0), ["sm_80", "compute_80"], True), ((9, 0), ["sm_80"], False),
    ((9, 0), ["sm_90a"], True), ((9, 1), ["sm_90a"], False), ((9, 4), ["gfx942"], True), ((8, 0), [], True)])
def test_a_build_without_code_for_a_gpu_is_found_before_its_first_product(capability, built_for, runs):
    assert has_kernels(capability, built_for) == runs


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_the_sentence_says_what_to_do(models_dir):
    with pytest.raises(ModelUnavailable, match="T2V_DEVICE=cpu"):
        Engine(Settings.from_env({}, models_dir=models_dir, device="cuda")).environment()
    engine = Engine(Settings.from_env({}, models_dir=models_dir, device="cpu"))
    with pytest.raises(ModelUnavailable, match="CUDA GPU"):
        engine.load("modelscope-1.7b", lambda _: None)
    with pytest.raises(BadRequest, match="tiny"):
        engine.load("no-such-model", lambda _: None)
