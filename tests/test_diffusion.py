"""The model's arithmetic: noise, the denoising loop against the stock pipeline, decoding, previews."""

import io
import json

import diffusers
import numpy as np
import pytest
import torch
from diffusers import TextToVideoSDPipeline
from PIL import Image
from tiny import make_checkpoint

from core.diffusion import noise, preview, sampler
from core.diffusion.engine import Engine
from core.diffusion.loader import settle
from core.diffusion.report import ProgressReport
from core.diffusion.unet3d.prediction import Reference
from core.diffusion.unet3d.preview import factors_for
from core.domain.modes import DECODED_PIXELS, EXACT, MODES
from core.domain.recipe import Size, resolve
from core.domain.request import VideoRequest
from core.families.catalog import catalog
from core.families.registry import SCHEDULERS
from core.settings import Settings

ZERO_SNR = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}


@pytest.fixture(scope="module")
def stock(models_dir):
    return stock_pipeline(models_dir / "tiny")


def stock_pipeline(folder):
    """The library's own pipeline, loaded its own way; its weights aligned as ours are, or last bits differ."""
    pipe = TextToVideoSDPipeline.from_pretrained(folder, use_safetensors=True)
    pipe.set_progress_bar_config(disable=True)
    for part in (pipe.text_encoder, pipe.unet, pipe.vae):
        settle(part, torch.device("cpu"))
    return pipe


def asked(models_dir, **values):
    request = {"prompt": "a red ball", "model": "tiny", "num_frames": 4, "num_inference_steps": 5, "width": 32,
               "height": 32, "seed": 7, "guidance_scale": 6.0, "mode": "reference", **values}
    return resolve(VideoRequest(**request), catalog(models_dir))


def stock_frames(pipe, recipe):
    """The frames of the stock pipeline for the same recipe and latents, rounded as it rounds PIL images."""
    row = SCHEDULERS[recipe.scheduler]
    trained = pipe.scheduler
    pipe.scheduler = getattr(diffusers, row.class_name).from_config(trained.config, **row.options)
    try:
        frames = pipe(recipe.prompt, negative_prompt=recipe.negative_prompt, num_frames=recipe.num_frames,
                      height=recipe.height, width=recipe.width, guidance_scale=recipe.guidance_scale,
                      num_inference_steps=recipe.num_inference_steps,
                      latents=noise.draw(recipe.seed, recipe.num_frames, pipe.unet.config.in_channels,
                                         recipe.height // 8, recipe.width // 8)).frames[0]
    finally:
        pipe.scheduler = trained
    return (frames * 255).round().astype("uint8")


def test_the_noise_of_24_frames_begins_with_the_noise_of_16():
    long, short = noise.draw(2**63 - 1, 24, 4, 5, 3), noise.draw(2**63 - 1, 16, 4, 5, 3)
    assert long.shape == (1, 4, 24, 5, 3)
    assert long.dtype == torch.float32
    assert torch.equal(long[:, :, :16], short)
    assert noise.sha256(long) != noise.sha256(short)


def test_noise_comes_from_the_seed_alone():
    torch.manual_seed(1)
    first = noise.draw(5, 2, 4, 4, 4)
    torch.manual_seed(2)
    assert torch.equal(first, noise.draw(5, 2, 4, 4, 4))
    assert not torch.equal(first, noise.draw(6, 2, 4, 4, 4))
    # The stored fingerprint of seed 5: it shows a torch that draws other noise.
    assert noise.sha256(first) == "67bfffdc47aca4ed0010e0bfcedce1ae6df089e72fb209a0672e5cf3cab3b24a"


@pytest.mark.parametrize("guidance_scale", [6.0, 1.0])
@pytest.mark.parametrize("key", SCHEDULERS)
def test_frames_equal_those_of_the_stock_pipeline(engine, stock, models_dir, key, guidance_scale):
    recipe = asked(models_dir, scheduler=key, guidance_scale=guidance_scale)
    ours = engine.generate(recipe, lambda _: None).frames
    assert np.array_equal(ours, stock_frames(stock, recipe))


@pytest.mark.parametrize("key", SCHEDULERS)
def test_frames_equal_those_of_the_stock_pipeline_for_a_model_trained_to_zero_snr(tmp_path, key):
    folder = make_checkpoint(tmp_path / "snr")
    path = folder / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **ZERO_SNR}))
    pipe = stock_pipeline(folder)
    recipe = asked(tmp_path, model="snr", scheduler=key)
    made = Engine(Settings.from_env({}, models_dir=tmp_path, device="cpu")).generate(recipe, lambda _: None)
    assert made.receipt.scheduler_config["prediction_type"] == "v_prediction"
    assert np.array_equal(made.frames, stock_frames(pipe, recipe))


@pytest.mark.parametrize(("num_frames", "width", "height"), [(1, 32, 32), (3, 72, 40), (9, 24, 56)])
def test_frames_of_odd_sizes_equal_those_of_the_stock(engine, stock, models_dir, num_frames, width, height):
    recipe = asked(models_dir, num_frames=num_frames, width=width, height=height)
    ours = engine.generate(recipe, lambda _: None).frames
    assert ours.shape == (num_frames, height, width, 3)
    assert np.array_equal(ours, stock_frames(stock, recipe))


def test_decoding_in_pieces_equals_decoding_at_once(engine, models_dir, monkeypatch):
    engine.load("tiny", lambda _: None)
    latents = noise.draw(3, 7, 4, 6, 5)
    seen = []
    with torch.inference_mode():
        whole = engine._model.decode(latents, MODES[EXACT], lambda *_: None)
        monkeypatch.setitem(DECODED_PIXELS, "cpu", 2 * 48 * 40)
        pieces = engine._model.decode(latents, MODES[EXACT], lambda frames, done: seen.append((frames, done)))
    # the processor may sum a batch of two in another order than one of seven: the last level, here and there
    difference = np.abs(whole.astype(int) - pieces)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.001
    assert [done for _, done in seen] == [2, 4, 6, 7]
    assert np.array_equal(np.concatenate([frames for frames, _ in seen]), pieces)


def test_every_scheduler_names_what_it_believes_the_clean_latents_to_be(engine):
    engine.load("tiny", lambda _: None)
    model = engine._model
    for key, row in SCHEDULERS.items():
        seen = []
        with torch.inference_mode():
            latents = sampler.denoise(Reference(model.unet, torch.zeros(1, 77, 16), 1.0),
                                      sampler.scheduler(row, model.scheduler_config),
                                      noise.draw(1, 3, 4, 4, 4), 6,
                                      lambda done, total, x, clean, seen=seen: seen.append((done, total, clean)))
        assert [entry[:2] for entry in seen] == [(k, 6) for k in range(1, 7)]
        last = seen[-1][2]
        assert last.shape == (3, 4, 4, 4)
        # at the end the believed latents and the real ones are nearly the same
        final = latents[0].permute(1, 0, 2, 3)
        assert (last - final).abs().mean() < 0.05 * final.abs().mean() + 0.02, key


def test_a_scheduler_configuration_survives_json():
    for row in SCHEDULERS.values():
        config = sampler.config_of(sampler.scheduler(row, {"beta_schedule": "linear", "clip_sample": False}))
        assert json.loads(json.dumps(config, allow_nan=False)) == config
        assert config["class"] == row.class_name


def test_a_preview_is_a_small_animation_of_all_frames():
    factors = preview.Factors(((0.5, 0, 0), (0, 0.5, 0), (0, 0, 0.5), (0, 0, 0)))
    latents = torch.zeros(5, 4, 6, 12)
    latents[:, 0] = torch.linspace(-1, 1, 5)[:, None, None]
    file = preview.strip(latents.half(), factors)
    image = Image.open(io.BytesIO(file))
    assert (image.format, image.n_frames, image.size) == ("WEBP", 5, (128, 64))
    reds = []
    for number in range(5):
        image.seek(number)
        red, green, blue = np.asarray(image.convert("RGB")).reshape(-1, 3).mean(axis=0)
        assert abs(green - 128) < 8
        assert abs(blue - 128) < 8
        reds.append(red)
    assert reds == sorted(reds)
    assert reds[0] < 10 < 245 < reds[-1]


def test_a_preview_of_what_is_not_a_number_is_still_a_picture():
    assert preview.strip(torch.full((2, 4, 4, 4), float("nan")), preview.Factors(((1, 1, 1),) * 4))


def test_a_preview_that_cannot_be_made_is_none(caplog):
    assert preview.strip(torch.zeros(2, 3, 4, 4), preview.Factors(((1, 1, 1),) * 4)) is None
    assert "preview" in caplog.text


@pytest.mark.parametrize(("costs_s", "with_picture"), [(0.01, [1, 7, 13, 19, 20]), (0.02, [1, 12, 20]),
                                                       (9.0, [1, 20]), (0.0, [1, 4, 7, 10, 13, 16, 19, 20])])
def test_previews_take_at_most_a_fiftieth_of_the_time(engine, costs_s, with_picture):
    engine.load("tiny", lambda _: None)
    now, seen = [100.0], []

    def clock():  # stands still while a step is made, and each preview takes `costs_s`
        now[0] += costs_s
        return now[0] - costs_s

    report = ProgressReport(engine._model, Size(4, 32, 32), seen.append, clock=clock)
    latents = torch.zeros(4, 4, 4, 4)
    for step in range(1, 21):
        now[0] = 100.0 + step * 0.1
        report.step(step, 20, latents, latents)
    assert [progress.done for progress in seen if progress.preview] == with_picture


def test_waiting_for_a_gpu_is_no_cost_of_a_preview(engine):
    engine.load("tiny", lambda _: None)
    now, seen = [100.0], []

    class Remote(torch.Tensor):
        """Latents that arrive 9 seconds after they are asked for."""

        def cpu(self):
            now[0] += 9.0
            return self.as_subclass(torch.Tensor)

    report = ProgressReport(engine._model, Size(4, 32, 32), seen.append, clock=lambda: now[0])
    latents = torch.zeros(4, 4, 4, 4)
    for step in range(1, 5):
        now[0] += 0.3
        report.step(step, 9, latents, latents.as_subclass(Remote))
    assert all(progress.preview for progress in seen) and len(seen) == 4


def test_preview_factors_come_from_the_checkpoint_then_from_stable_diffusion_then_grey(tmp_path, models_dir):
    assert factors_for(models_dir / "tiny", 4, 1.0).matrix[0] == (0.3, 0.1, 0.0)
    assert factors_for(tmp_path, 4, 0.18215).matrix[0][0] == pytest.approx(0.3512 / 2)
    assert len(factors_for(tmp_path, 16, 1.0).matrix) == 16
    for damaged in ("{", "[]", '{"factors": [[1, 2]], "bias": [0, 0, 0]}', '{"factors": "x", "bias": null}'):
        (tmp_path / "preview.json").write_text(damaged)
        assert factors_for(tmp_path, 4, 0.18215).matrix[0][0] == pytest.approx(0.3512 / 2)
