"""A video in another form: opened by other programs, with the frames of the MP4 and its settings inside."""

import io
import json
import zipfile
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from samples import moving, video, with_recipe

from core.domain.video import Video
from core.errors import Cancelled, ClipError, NotFound
from core.library import sidecar
from core.library.library import Library
from core.library.media import clip, metrics
from core.library.media.export_formats import EXPORT_FORMATS
from core.settings import Settings
from core.studio import open_studio

COUNT, HEIGHT, WIDTH = 8, 31, 33  # odd sides: padded in the MP4, and exact in every other form
FRAMES = moving(COUNT, HEIGHT, WIDTH)
FRAMES[:, 8:24, 4:20] = np.arange(COUNT, dtype=np.uint8)[:, None, None, None] * 30  # no frame like another


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Video, Path]:
    kept, data = with_recipe(video("a \"quoted\" prompt, ünïcode 🎈"), FRAMES)
    path = tmp_path_factory.mktemp("mp4") / "clip.mp4"
    path.write_bytes(data)
    return kept, path


def ignored(_done: int, _total: int) -> None:
    pass


def render(made: tuple[Video, Path], kind: str, folder: Path) -> Path:
    out = folder / "out"
    EXPORT_FORMATS[kind].make(*made, out, ignored)
    return out


def shown(mp4: Path) -> np.ndarray:
    return clip.read(mp4).frames


def test_a_gif_loops_at_the_speed_of_the_video_with_its_frames_and_settings(made, tmp_path):
    with Image.open(render(made, "gif", tmp_path)) as image:
        assert (image.format, image.size, image.n_frames, image.info["loop"]) == ("GIF", (WIDTH, HEIGHT), COUNT, 0)
        frames, duration = [], 0
        assert json.loads(image.info["comment"]) == json.loads(clip.probe(made[1]).comment)
        for number in range(COUNT):
            image.seek(number)
            frames.append(np.asarray(image.convert("RGB")))
            duration += image.info["duration"]
    assert duration == 1000
    assert metrics.psnr(np.stack(frames), shown(made[1])) > 30


@pytest.mark.parametrize(("count", "fps"), [(16, 8), (24, 24), (30, 29), (100, 60), (7, 240)])
def test_a_gif_lasts_as_long_as_the_video_at_every_speed(count, fps, tmp_path):
    frames = np.zeros((count, 16, 16, 3), np.uint8)
    frames[np.arange(count), np.arange(count) % 16, np.arange(count) // 16] = 255
    kept, data = with_recipe(video(fps=fps), frames)
    (tmp_path / "clip.mp4").write_bytes(data)
    with Image.open(render((kept, tmp_path / "clip.mp4"), "gif", tmp_path)) as image:
        total = 0
        for number in range(image.n_frames):
            image.seek(number)
            assert image.info["duration"] >= 20  # browsers show a shorter one for a tenth of a second
            total += image.info["duration"]
    assert abs(total - 1000 * count / fps) <= 15


def test_a_webm_is_vp9_with_the_frames_and_settings_of_the_video(made, tmp_path):
    with av.open(str(render(made, "webm", tmp_path)), format="matroska") as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.average_rate) == ("vp9", 8)
        assert json.loads(container.metadata["COMMENT"]) == json.loads(clip.probe(made[1]).comment)
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    assert frames.shape == FRAMES.shape and metrics.psnr(frames, shown(made[1])) > 30


def test_the_pictures_are_exactly_what_the_mp4_shows_and_the_sidecar_lies_beside_them(made, tmp_path):
    with zipfile.ZipFile(render(made, "png", tmp_path)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert names == [f"{made[0].id}.json", *(f"frame-{number:04d}.png" for number in range(1, COUNT + 1))]
        assert sidecar.video_of(json.loads(archive.read(names[0]))) == made[0]
        frames = [np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name in names[1:]]
    assert np.array_equal(np.stack(frames), shown(made[1]))


@pytest.mark.parametrize("kind", EXPORT_FORMATS)
def test_the_same_video_gives_the_same_file(made, tmp_path, kind):
    first = render(made, kind, tmp_path).read_bytes()
    assert render(made, kind, tmp_path).read_bytes() == first


@pytest.mark.parametrize("kind", EXPORT_FORMATS)
def test_making_one_tells_how_far_it_is_stops_at_once_and_leaves_nothing(tmp_path, kind):
    kept, data = with_recipe(video(), FRAMES)
    library = Library(tmp_path, writable=True)
    library.publish(kept, data)
    library.close()
    told = []

    def stop_at_three(done: int, total: int) -> None:
        told.append((done, total))
        if done == 3:
            raise Cancelled

    with open_studio(Settings.from_env({}, data_dir=tmp_path), "visit") as studio:
        with pytest.raises(Cancelled):
            studio.transfer.rendition(kept.id, kind, stop_at_three)
        assert told == [(1, 8), (2, 8), (3, 8)]
        assert list((tmp_path / "derived").iterdir()) == []
        assert not studio.transfer.has_rendition(kept, kind)
        path = studio.transfer.rendition(kept.id, kind)
        assert path.is_file() and studio.transfer.has_rendition(kept, kind)
        assert studio.transfer.rendition(kept.id, kind, stop_at_three) == path  # nothing is made twice
        with pytest.raises(NotFound, match="choose one of gif, webm, png"):
            studio.transfer.rendition(kept.id, "exe")


def test_an_mp4_that_is_damaged_gives_no_file(made, tmp_path):
    broken = tmp_path / "clip.mp4"
    broken.write_bytes(made[1].read_bytes()[:1000])
    for kind in EXPORT_FORMATS:
        with pytest.raises(ClipError):
            render((made[0], broken), kind, tmp_path)
