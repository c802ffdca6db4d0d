"""A video is encoded while it is still being decoded: the same file, and an unwanted one leaves nothing."""

import io
import os
import signal
import tempfile
from pathlib import Path

import drawn
import numpy as np
import pytest
from drawn import DrawnEngine, until
from PIL import Image
from samples import moving

from core.domain.modes import DECODED_PIXELS
from core.domain.recipe import resolve
from core.domain.request import VideoRequest
from core.errors import Cancelled, ClipError
from core.families.catalog import catalog
from core.jobs.kinds.generate import Generate
from core.jobs.protocol import Head
from core.jobs.worker.renderer import Renderer
from core.library.media import clip
from core.library.media.encoding import Encoding


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder for temporary files only."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def ffmpegs() -> list[int]:
    """The FFmpeg processes of this process."""
    children = [(task / "children").read_text() for task in Path("/proc/self/task").iterdir()]
    found = [int(pid) for line in children for pid in line.split()]
    return [pid for pid in found if "ffmpeg" in Path(f"/proc/{pid}/comm").read_text()]


# The encoder


@pytest.mark.parametrize(("height", "width"), [(32, 48), (33, 47)])
def test_frames_given_a_few_at_a_time_make_the_file_that_all_of_them_at_once_make(folder, height, width):
    frames = moving(9, height, width)
    with Encoding(8) as encoding:
        for start, stop in ((0, 0), (0, 4), (4, 5), (5, 9)):
            encoding.add(frames[start:stop])
        made = clip.finished(encoding, frames, 8, "what ran")
    assert made == clip.encode_bytes(frames, 8, "what ran")
    assert not list(folder.iterdir())


def test_the_encoder_is_up_before_there_is_a_frame_and_encodes_before_there_are_all(folder):
    frames = moving(200, 64, 64)
    with Encoding(8) as encoding:
        encoding.add(frames[:0])
        until(ffmpegs)
        encoding.add(frames[:199])
        until(lambda: any(path.stat().st_size for path in folder.glob("t2v-*/clip.mp4")))
        encoding.add(frames[199:])
        data, _ = clip.finished(encoding, frames, 8, "")
    assert clip.probe(data).num_frames == 200


def test_an_unwanted_encoding_ends_at_once_and_leaves_nothing(folder):
    with pytest.raises(Cancelled), Encoding(8) as encoding:
        encoding.add(moving(64, 256, 256))
        until(ffmpegs)
        raise Cancelled
    assert not ffmpegs() and not list(folder.iterdir())


def test_an_encoder_that_died_is_heard_of_with_the_next_frames(folder):
    with pytest.raises(ClipError, match="could not encode"), Encoding(8) as encoding:
        encoding.add(moving(2, 32, 32))
        os.kill(until(ffmpegs)[0], signal.SIGKILL)
        until(lambda: encoding.add(moving(2, 32, 32)))
    assert not list(folder.iterdir())


def test_an_encoder_that_died_after_the_last_frame_leaves_no_file(folder):
    with pytest.raises(ClipError, match="could not encode"), Encoding(8) as encoding:
        encoding.add(moving(2, 32, 32))
        os.kill(until(ffmpegs)[0], signal.SIGKILL)
        encoding.file()
    assert not list(folder.iterdir())


# The engine


def asked(models_dir, **values):
    request = {"prompt": "a red ball", "model": "tiny", "num_frames": 5, "num_inference_steps": 2, "width": 40,
               "height": 32, "seed": 7, "guidance_scale": 6.0, **values}
    return resolve(VideoRequest(**request), catalog(models_dir))


@pytest.fixture
def by_two(monkeypatch):
    """Two frames of 40×32 are decoded at once."""
    monkeypatch.setitem(DECODED_PIXELS, "cpu", 2 * 40 * 32)


def test_frames_are_handed_on_before_the_next_are_decoded_and_not_copied(engine, models_dir, by_two):
    engine.load("tiny", lambda _: None)
    events, parts = [], []
    hook = engine._model.vae.decoder.register_forward_hook(lambda *_: events.append("decoded"))

    def receive(frames):
        events.append(len(frames))
        parts.append(frames)

    try:
        made = engine.generate(asked(models_dir), lambda _: None, on_frames=receive)
    finally:
        hook.remove()
    assert events == [0, "decoded", 2, "decoded", 2, "decoded", 1]
    assert np.array_equal(np.concatenate(parts), made.frames)
    assert all(np.shares_memory(part, made.frames) for part in parts[1:])


def test_while_frames_are_decoded_the_preview_shows_those_that_are(engine, models_dir, by_two, monkeypatch):
    monkeypatch.setattr("core.diffusion.report.PREVIEW_INTERVAL_S", 0)
    monkeypatch.setattr("core.diffusion.report.PREVIEW_COST", 0)
    seen = []
    made = engine.generate(asked(models_dir), seen.append)
    steps = [now for now in seen if now.phase == "denoising"]
    shown = [now for now in seen if now.phase == "decoding"]
    assert [(now.done, now.total, now.preview is None) for now in shown] == [
        (2, 5, False), (4, 5, False), (5, 5, True)]

    def apart(now, number):
        """The difference between frame `number` of a preview and the finished one."""
        image = Image.open(io.BytesIO(now.preview))
        assert image.n_frames == 5
        image.seek(number)
        wanted = Image.fromarray(made.frames[number]).resize(image.size, Image.Resampling.BILINEAR)
        return np.abs(np.asarray(image.convert("RGB")).astype(int) - np.asarray(wanted)).mean()

    for number in range(4):
        assert apart(shown[1], number) < 12 < apart(steps[-1], number)
    assert apart(shown[1], 4) > 12


@pytest.mark.parametrize("good", [0, 1, 2, 3])
def test_an_error_of_the_receiver_ends_decoding_and_the_engine_stays_usable(engine, models_dir, by_two, good):
    calm, received = engine.generate(asked(models_dir), lambda _: None), []

    def refuse(frames):
        if len(received) == good:
            raise ClipError("There is no room.")
        received.append(frames)

    with pytest.raises(ClipError, match="no room"):
        engine.generate(asked(models_dir), lambda _: None, on_frames=refuse)
    assert len(received) == good
    assert engine.generate(asked(models_dir), lambda _: None).receipt == calm.receipt


# Both


def head():
    return Head.from_document(drawn.head())


def rendered(renderer, recipe, on_progress=lambda _: None):
    return renderer.render(Generate(recipe).document(), head(), on_progress, b"", lambda step, make: None)


def test_a_video_of_many_chunks_has_the_frames_its_receipt_speaks_of(folder, engine, models_dir, by_two):
    made = rendered(Renderer(engine), asked(models_dir))
    video = made.document
    calm = engine.generate(asked(models_dir), lambda _: None)
    assert video["receipt"]["frames_sha256"] == calm.receipt.frames_sha256
    back = clip.read(made.file)
    assert back.frames.shape == calm.frames.shape and f'"video_sha256":"{back.video_sha256}"' in back.comment
    assert video["runtime"]["encode_s"] > 0 and not list(folder.iterdir())


@pytest.mark.parametrize("done", [2, 4, 5])
def test_cancelled_while_decoding_nothing_is_left_of_the_file(folder, engine, models_dir, by_two, done):
    def cancel(now):
        if (now.phase, now.done) == ("decoding", done):
            raise Cancelled

    with pytest.raises(Cancelled):
        rendered(Renderer(engine), asked(models_dir), cancel)
    assert not ffmpegs() and not list(folder.iterdir())


def test_a_decoder_that_fails_leaves_nothing_of_what_was_encoded(folder, tmp_path):
    class Failing(DrawnEngine):
        def generate(self, recipe, on_progress, checkpoint, on_checkpoint, on_frames):
            super().generate(recipe, on_progress, checkpoint, on_checkpoint, on_frames)
            raise drawn.InvalidFrames("The model produced a clip of one flat colour.")

    with pytest.raises(drawn.InvalidFrames):
        rendered(Renderer(Failing(tmp_path / "none")), drawn.RECIPE)
    assert not ffmpegs() and not list(folder.iterdir())


def test_an_encoder_that_dies_ends_the_job_with_its_sentence(folder, engine, models_dir, by_two):
    def kill(now):
        if (now.phase, now.done) == ("decoding", 2):
            os.kill(until(ffmpegs)[0], signal.SIGKILL)

    with pytest.raises(ClipError, match="could not encode"):
        rendered(Renderer(engine), asked(models_dir), kill)
    assert not list(folder.iterdir())
