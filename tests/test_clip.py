"""Frames become a file that plays everywhere and carries its settings, or no file at all."""

import hashlib
import io
import json
import os
import resource
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from samples import HOSTILE, moving, mp4

from core.errors import ClipError
from core.library.media import clip, encoder, metrics, posters

ROOT = Path(__file__).resolve().parent.parent
valid_text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=300)


def test_a_clip_keeps_its_frames_its_size_its_speed_and_its_comment(tmp_path):
    frames = moving(16, 64, 48)
    path = tmp_path / "clip.mp4"
    result = clip.write(frames, 8, path, "what ran")
    back = clip.read(path)
    assert back.frames.shape == frames.shape and back.frames.dtype == np.uint8
    assert (back.fps, back.comment) == (8, "what ran")
    assert metrics.psnr(frames, back.frames) > 34
    assert (result.num_frames, result.width, result.height, result.fps, result.duration_s) == (16, 48, 64, 8, 2.0)
    assert result.bytes == path.stat().st_size and result.codec == "h264"
    assert result.mp4_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [file.name for file in tmp_path.iterdir()] == ["clip.mp4"]


def test_the_file_is_what_every_browser_plays():
    data, _ = mp4()
    with av.open(io.BytesIO(data), format="mp4") as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert (context.name, context.pix_fmt, len(container.streams)) == ("h264", "yuv420p", 1)
        assert context.colorspace == context.color_primaries == context.color_trc == 1  # BT.709
        assert set(container.metadata) == {"major_brand", "minor_version", "compatible_brands"}
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_any_text_comes_back_from_the_comment_byte_for_byte(text):
    for comment in (text, json.dumps({"prompt": text, "again": text}, ensure_ascii=False)):
        data, _ = clip.encode_bytes(moving(2, 16, 16), 8, comment)
        with av.open(io.BytesIO(data), format="mp4") as container:
            assert container.metadata["comment"].encode() == comment.encode()
            assert set(container.metadata) <= {"major_brand", "minor_version", "compatible_brands", "comment"}


@settings(max_examples=15, deadline=None)
@given(valid_text)
def test_any_valid_text_comes_back(text):
    data, _ = clip.encode_bytes(moving(1, 16, 16), 8, text)
    assert clip.probe(data).comment == text


def test_the_same_frames_give_the_same_bytes():
    frames = np.random.default_rng(0).integers(0, 256, (6, 40, 56, 3), dtype=np.uint8)
    assert len({clip.encode_bytes(frames, 8, "x")[0] for _ in range(4)}) == 1


def checkerboard(one: tuple[int, ...], other: tuple[int, ...]) -> np.ndarray:
    """Pixels of two colours in turn, changing places with each frame: 4:2:0 loses all of their colour."""
    t, y, x = np.meshgrid(np.arange(3), np.arange(30), np.arange(34), indexing="ij")
    return np.where(((t + x + y) % 2)[..., None] == 1, np.uint8(one), np.uint8(other))


def noise(seed: int, levels: int, *shape: int) -> np.ndarray:
    """Random values, each one of `levels` levels from 0 to 255; a last side of 1 means grey."""
    values = np.random.default_rng(seed).integers(0, levels, shape) * 255 // (levels - 1)
    return np.broadcast_to(values, (*shape[:3], 3)).astype(np.uint8)


HARD = {
    "red and blue": checkerboard((255, 0, 0), (0, 0, 255)),
    "green and magenta": checkerboard((0, 255, 0), (255, 0, 255)),
    "white and black": checkerboard((255, 255, 255), (0, 0, 0)), "noise": noise(0, 256, 8, 64, 64, 3),
    "saturated noise": noise(1, 2, 8, 31, 33, 3), "black and white noise": noise(2, 2, 8, 31, 33, 1),
    "four pixels": noise(3, 2, 8, 2, 2, 1), "one pixel": noise(4, 256, 1, 1, 1, 3),
    "black": np.zeros((1, 16, 16, 3), np.uint8), "white": np.full((2, 16, 16, 3), 255, np.uint8),
}


@pytest.mark.parametrize("frames", HARD.values(), ids=HARD)
def test_the_hardest_frames_there_are_pass_the_comparison(frames):
    assert len(clip.read(clip.encode_bytes(frames, 8, "")[0]).frames) == len(frames)


def test_the_hash_of_the_video_is_of_what_any_decoder_makes_of_it(tmp_path):
    path = tmp_path / "x.mp4"
    path.write_bytes(mp4(8, 31, 33)[0])
    ffmpeg = encoder.ffmpeg_version().partition("(")[2].rstrip(")")
    raw = subprocess.run([ffmpeg, "-v", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"],
                         capture_output=True, check=True).stdout
    assert len(raw) == 8 * 32 * 34 * 3 // 2
    assert clip.read(path).video_sha256 == hashlib.sha256(raw).hexdigest()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 2), (8, 8), (33, 35), (31, 64), (64, 17)])
def test_an_odd_size_is_padded_in_the_file_and_exact_when_read(height, width):
    frames = moving(3, height, width)
    comment = json.dumps({"result": {"width": width, "height": height}})
    data, result = clip.encode_bytes(frames, 8, comment)
    back = clip.read(data)
    assert back.frames.shape == frames.shape
    assert (result.width, result.height) == (width, height)
    about = clip.probe(data)
    assert (about.width, about.height, about.num_frames) == (width, height, 3)
    assert np.abs(back.frames.astype(int) - frames).mean() < 6


def test_a_comment_that_lies_about_the_size_is_not_believed():
    data, _ = clip.encode_bytes(moving(2, 16, 16), 8, json.dumps({"result": {"width": 4, "height": 1000}}))
    assert clip.read(data).frames.shape == (2, 16, 16, 3)


@pytest.mark.parametrize(("count", "fps"), [(1, 8), (2, 1), (24, 6), (7, 60), (5, 7)])
def test_length_and_speed_are_exact(count, fps):
    data, result = clip.encode_bytes(moving(count, 16, 16), fps, "")
    back = clip.read(data)
    assert (len(back.frames), back.fps) == (count, fps)
    assert result.duration_s == pytest.approx(count / fps, abs=1e-6)


@pytest.mark.parametrize("name", ["-x.mp4", "http:x.mp4", "pipe:1.mp4", "a b'c\"d.mp4", "%03d.mp4", "ü😀.mp4"])
def test_a_file_name_is_only_a_name(tmp_path, name):
    clip.write(moving(2, 16, 16), 8, tmp_path / name, "c")
    assert clip.read(tmp_path / name).comment == "c"
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(("frames", "fps", "comment"), [
    (moving(2).astype(np.float32), 8, ""), (moving(2)[0], 8, ""), (moving(2)[..., :2], 8, ""),
    (moving(2)[:0], 8, ""), (moving(2), 0, ""), (moving(2), 7.5, ""), (moving(2), 241, ""),
    (moving(2), 8, "a\0b"), (moving(2), 8, "\ud800"), (moving(2), 8, "x" * 200_000),
    (np.zeros((1, 5000, 2, 3), np.uint8), 8, ""), (np.zeros((601, 2, 2, 3), np.uint8), 1, ""),
])
def test_frames_that_cannot_be_stored_are_refused_before_anything_is_written(tmp_path, frames, fps, comment):
    with pytest.raises(ClipError):
        clip.write(frames, fps, tmp_path / "clip.mp4", comment)
    assert list(tmp_path.iterdir()) == []


def matroska() -> bytes:
    """A good video in another container, which may hold what an MP4 may not."""
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width = stream.height = 16
        container.mux(stream.encode(av.VideoFrame(16, 16, "yuv420p")))
        container.mux(stream.encode())
    return out.getvalue()


def not_videos(folder: Path) -> dict[str, bytes]:
    """Files that are named .mp4 and are something else; the lists point at a real video beside them."""
    real = folder / "real.mp4"
    real.write_bytes(mp4()[0])
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "PNG")
    return {
        "empty": b"", "text": b"hello", "zeros": bytes(5000), "random": np.random.default_rng(1).bytes(5000),
        "ffconcat": b"ffconcat version 1.0\nfile real.mp4\n",
        "ffconcat far": f"ffconcat version 1.0\nfile '{real}'\n".encode(),
        "matroska": matroska(),
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{real}\n#EXT-X-ENDLIST\n".encode(),
        "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 5004 RTP/AVP 96\n",
        "picture": picture.getvalue(), "only the header": mp4()[0][:32],
        "box of no end": (2**31).to_bytes(4, "big") + b"moov" + bytes(100),
    }


@pytest.mark.parametrize("kind", ["empty", "text", "zeros", "random", "ffconcat", "ffconcat far",
                                  "matroska", "hls", "sdp", "picture",
                                  "only the header", "box of no end"])
def test_a_file_that_is_not_an_mp4_is_refused_with_a_sentence(tmp_path, kind):
    path = tmp_path / "upload.mp4"
    path.write_bytes(not_videos(tmp_path)[kind])
    for reading in (clip.read, clip.probe):
        with pytest.raises(ClipError) as refusal:
            reading(path)
        if kind in ("ffconcat", "ffconcat far", "hls", "sdp", "matroska", "picture"):  # seen by no other demuxer
            assert "upload.mp4 is no video" in str(refusal.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.mp4", tmp_path):
        with pytest.raises(ClipError):
            clip.read(path)


def test_a_file_cut_short_anywhere_is_refused():
    data, _ = mp4(16, 64, 64, "c")
    for length in range(0, len(data) - 1, max(1, len(data) // 60)):
        with pytest.raises(ClipError):
            clip.read(data[:length])


def test_a_flipped_byte_never_does_more_than_change_pictures_or_raise_a_clip_error():
    data, _ = mp4(4, 16, 16, "c")
    rng = np.random.default_rng(2)
    for place in rng.integers(0, len(data), 150):
        broken = bytearray(data)
        broken[place] ^= 1 << int(rng.integers(0, 8))
        try:
            assert clip.read(bytes(broken)).frames.ndim == 4
        except ClipError:
            pass


def test_a_file_too_large_or_too_wide_is_refused_unread(tmp_path):
    huge = tmp_path / "huge.mp4"
    huge.write_bytes(mp4()[0])
    os.truncate(huge, clip.MAX_BYTES + 1)
    with pytest.raises(ClipError, match="at most"):
        clip.read(huge)
    with av.open(str(tmp_path / "wide.mp4"), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width, stream.height = clip.MAX_SIDE + 2, 16
        container.mux(stream.encode(av.VideoFrame(clip.MAX_SIDE + 2, 16, "yuv420p")))
        container.mux(stream.encode())
    with pytest.raises(ClipError, match="larger than"):
        clip.read(tmp_path / "wide.mp4")


def test_the_broken_rate_of_another_program_is_said_as_it_is(tmp_path):
    path = tmp_path / "ntsc.mp4"
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(30000, 1001))
        stream.width = stream.height = 16
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame(16, 16, "yuv420p")))
        container.mux(stream.encode())
    assert clip.read(path).fps == clip.probe(path).fps == 29.97


WRITE = """
import resource, sys
from pathlib import Path
import numpy as np
from core.errors import StudioError
from core.library.media import clip
if len(sys.argv) > 2:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
frames = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)
try:
    clip.write(frames, 8, Path(sys.argv[1]), "c")
except StudioError as error:
    print(type(error).__name__, error)
"""


def in_another_process(path: Path, *arguments: str, before: str = "", **environment: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", before + WRITE, str(path), *arguments], cwd=ROOT,
                          text=True, capture_output=True, env={**os.environ, **environment}, check=False)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout


def test_without_ffmpeg_the_sentence_says_how_to_get_one(tmp_path):
    said = in_another_process(tmp_path / "x.mp4", IMAGEIO_FFMPEG_EXE=str(tmp_path / "no ffmpeg"))
    assert said.startswith("ClipError") and "pip install" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("script", [
    "exit 1", "cat > /dev/null; exit 3", "cat > /dev/null", "kill -9 $$",
    'cat > /dev/null; for last; do :; done; echo half > "${last#file:}"',
])
def test_an_ffmpeg_that_fails_or_lies_leaves_no_file(tmp_path, script):
    broken = tmp_path / "ffmpeg"
    broken.write_text(f"#!/bin/sh\n{script}\n")
    broken.chmod(0o755)
    said = in_another_process(tmp_path / "x.mp4", IMAGEIO_FFMPEG_EXE=str(broken))
    assert said.startswith(("ClipError", "StudioError")), said
    assert [file.name for file in tmp_path.iterdir()] == ["ffmpeg"]


def test_a_failing_ffmpeg_is_a_sentence_where_the_signal_of_a_full_disk_is_not_known(tmp_path):
    broken = tmp_path / "ffmpeg"
    broken.write_text("#!/bin/sh\ncat > /dev/null; exit 3\n")
    broken.chmod(0o755)
    said = in_another_process(tmp_path / "x.mp4", before="import signal; del signal.SIGXFSZ",
                              IMAGEIO_FFMPEG_EXE=str(broken))
    assert said.startswith("ClipError FFmpeg could not encode"), said


@pytest.mark.parametrize(("name", "change"), [
    ("file:*", 'set -- "$@" -frames:v 3'), ("file:*", 'set -- "$@" -s 16x16'),
    ("file:*", 'set -- "$@" -r 5'), ("scale=*", 'a="$a,negate"'), ("scale=*", 'a="$a,drawbox=c=black:t=fill"'),
    ("scale=*", "a=\"$a,negate=enable='eq(n,5)'\""), ("scale=*", 'a="$a,setparams=colorspace=bt470bg"'),
])
def test_an_ffmpeg_that_writes_something_else_is_found_out(tmp_path, name, change):
    """A real FFmpeg behind a script that changes one argument: length, size, speed, frames, colours."""
    real = encoder.ffmpeg_version().partition("(")[2].rstrip(")")
    script = tmp_path / "ffmpeg"
    script.write_text(f'#!/bin/sh\nfor a; do shift; case "$a" in {name}) {change};; esac; set -- "$@" "$a"; done\n'
                      f'exec "{real}" "$@"\n')
    script.chmod(0o755)
    said = in_another_process(tmp_path / "x.mp4", IMAGEIO_FFMPEG_EXE=str(script))
    assert said.startswith("ClipError"), said
    assert [file.name for file in tmp_path.iterdir()] == ["ffmpeg"]


def test_a_full_disk_while_encoding_is_said_and_leaves_nothing(tmp_path):
    said = in_another_process(tmp_path / "x.mp4", "4096", TMPDIR=str(tmp_path))
    assert said.startswith("DiskFull"), said
    assert list(tmp_path.iterdir()) == []


def test_the_limit_of_the_test_above_is_what_stops_it(tmp_path):
    assert in_another_process(tmp_path / "x.mp4", "4000000", TMPDIR=str(tmp_path)) == ""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_the_poster_is_the_frame_with_something_on_it():
    frames = np.zeros((5, 40, 60, 3), np.uint8)
    frames[3, ::4, ::4] = 255
    with Image.open(io.BytesIO(posters.poster(frames))) as image:
        assert (image.format, image.size) == ("WEBP", (60, 40))
        assert np.asarray(image.convert("RGB")).std() > 20
    with Image.open(io.BytesIO(posters.poster(moving(1, 720, 1280)))) as image:
        assert image.size == (640, 360)


@pytest.mark.parametrize(("height", "width", "size"), [(64, 64, (64, 64)), (320, 576, (160, 89)), (1, 1, (1, 1))])
def test_the_animation_has_all_frames_is_small_and_loops(height, width, size):
    frames = np.random.default_rng(0).integers(0, 256, (12, height, width, 3), dtype=np.uint8)
    with Image.open(io.BytesIO(posters.animation(frames, 8))) as image:
        assert (image.format, image.size, image.n_frames, image.info["loop"]) == ("WEBP", size, 12, 0)
        image.load()
        assert image.info["duration"] == 125


def test_psnr_is_what_the_textbook_says():
    a = moving(4)
    assert metrics.psnr(a, a.copy()) == float("inf")
    assert metrics.psnr(np.zeros((2, 4, 4, 3), np.uint8), np.full((2, 4, 4, 3), 255, np.uint8)) == pytest.approx(0)
    assert metrics.psnr(a, a + 1) == pytest.approx(10 * np.log10(255**2), abs=1e-9)
    with pytest.raises(ClipError, match="8 frames of 32×32"):
        metrics.psnr(a, moving(8))


def test_the_version_of_ffmpeg_is_known():
    assert "ffmpeg" in encoder.ffmpeg_version()
