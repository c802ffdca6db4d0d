"""Frames to MP4 and back.

MoviePy's FFmpeg writer makes the file; PyAV reads it, here and for everything that comes from outside, with
the MP4 demuxer forced and from a Python file object: FFmpeg never sees a path it could follow elsewhere (an
ffconcat list named .mp4 opens other files when the demuxer is guessed). Every file is read back and compared
before it gets its final name. Nothing else in the project imports moviepy, av or PIL.
"""

import hashlib
import io
import json
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from PIL import Image

from core.errors import ClipError, DiskFull
from core.library.files import disk_errors, write_file
from core.video import Result

MAX_BYTES = 512 * 2**20
MAX_DECODED_BYTES = 2 * 2**30
MAX_FRAMES = 4096
MAX_SECONDS = 600
MAX_SIDE = 4096
MAX_COMMENT_BYTES = 120_000  # Linux passes at most 128 KiB in one argument
ANIMATION_WIDTH, POSTER_WIDTH = 160, 640

# Tagged BT.709 all through, so that every player shows the colours that went in. One fixed thread count and no
# encoder stamp: the same frames give the same bytes on one machine.
_ENCODING = (
    "-vf", "scale=out_color_matrix=bt709:out_range=tv:flags=bicubic+accurate_rnd+full_chroma_inp,format=yuv420p,"
           "setparams=range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709",
    "-crf", "14", "-movflags", "+faststart", "-fflags", "+bitexact", "-f", "mp4",
)
_NO_FFMPEG = ("FFmpeg could not be started ({}). It comes with a package: "
              "pip install --force-reinstall imageio-ffmpeg")
_FULL = ("No space left", "File too large", "Disk quota")


@dataclass(frozen=True)
class Clip:
    """A decoded file: frames uint8 (F, H, W, 3) RGB, frames per second, the comment tag ("" if none)."""

    frames: np.ndarray
    fps: int
    comment: str


@dataclass(frozen=True)
class Probe:
    """What a file's header says, nothing decoded; width and height are the exact ones, padding removed."""

    num_frames: int
    width: int
    height: int
    fps: int
    duration_s: float
    codec: str
    comment: str


def write(frames: np.ndarray, fps: int, path: Path, comment: str) -> Result:
    """Write an H.264 MP4 (yuv420p, faststart) under its final name only after it was read back and compared.

    Args:
        frames: uint8 (F, H, W, 3) RGB. An odd side is padded by its last row or column, as 4:2:0 needs, and
            cropped again by `read` when the comment is a studio's document.
        comment: the text of the `comment` tag; any Unicode without NUL, at most 120,000 bytes in UTF-8.

    Raises:
        ClipError: frames of another form, no FFmpeg, or what was read back is not what was written.
        DiskFull: no room; nothing is left.
    """
    data, result = encode_bytes(frames, fps, comment)
    write_file(path, data)
    return result


def encode_bytes(frames: np.ndarray, fps: int, comment: str) -> tuple[bytes, Result]:
    """The same MP4 as `write`, as bytes, for a process that owns no library."""
    _check(frames, fps, comment)
    with disk_errors("the temporary folder"), tempfile.TemporaryDirectory(prefix="t2v-") as folder:
        path = Path(folder) / "clip.mp4"
        _encode(frames, fps, path, comment)
        data = path.read_bytes()
    _compare(data, frames, fps, comment)
    count, height, width, _ = frames.shape
    return data, Result(
        num_frames=count, width=width, height=height, fps=fps, duration_s=round(count / fps, 6),
        bytes=len(data), mp4_sha256=hashlib.sha256(data).hexdigest(),
    )


def read(source: Path | bytes) -> Clip:
    """Decode every frame of an MP4.

    Raises:
        ClipError: not an MP4, damaged, cut short, or larger than the studio accepts.
    """
    with _opened(source) as container:
        about = _probe(container)
        frames = _decode(container, about)
    return Clip(frames[:, : about.height, : about.width], about.fps, about.comment)


def probe(source: Path | bytes) -> Probe:
    """Read an MP4's header; raises ClipError like `read`."""
    with _opened(source) as container:
        return _probe(container)


def poster(frames: np.ndarray) -> bytes:
    """A WebP of the frame with the most detail: first frames look alike, and flat ones tell nothing."""
    luma = frames[..., 1].astype(np.int16)
    detail = np.abs(np.diff(luma, axis=1)).sum((1, 2)) + np.abs(np.diff(luma, axis=2)).sum((1, 2))
    image = _shrunk(frames[int(detail.argmax())], POSTER_WIDTH)
    out = io.BytesIO()
    image.save(out, "WEBP", quality=88, method=4)
    return out.getvalue()


def animation(frames: np.ndarray, fps: int) -> bytes:
    """A small animated WebP of all frames, at most 160 pixels wide, looping at the speed of the video."""
    images = [_shrunk(frame, ANIMATION_WIDTH) for frame in frames]
    out = io.BytesIO()
    images[0].save(out, "WEBP", save_all=True, append_images=images[1:], duration=round(1000 / fps),
                   quality=70, method=1)
    return out.getvalue()


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal to noise ratio of two clips, uint8 (F, H, W, 3), in dB over all values; inf when equal.

    Raises:
        ClipError: the clips differ in length or size.
    """
    if a.shape != b.shape:
        raise ClipError(f"Clips of different size cannot be compared: {_size_of(a)} and {_size_of(b)}.")
    total = sum(float(np.square(x.astype(np.int32) - y).sum(dtype=np.int64)) for x, y in zip(a, b, strict=True))
    return float("inf") if total == 0 else 10 * float(np.log10(255**2 * a.size / total))


def ffmpeg_version() -> str:
    """The version of the FFmpeg that writes the videos, and where it is.

    Raises:
        ClipError: there is none; the sentence says how to mend it.
    """
    import imageio_ffmpeg

    try:
        return f"{imageio_ffmpeg.get_ffmpeg_version()} ({imageio_ffmpeg.get_ffmpeg_exe()})"
    except (RuntimeError, OSError) as error:
        raise ClipError(_NO_FFMPEG.format(error)) from error


def _check(frames: np.ndarray, fps: int, comment: str) -> None:
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or 0 in frames.shape:
        raise ClipError(f"Frames must be uint8 (F, H, W, 3), not {frames.dtype} {frames.shape}.")
    if max(frames.shape[1:3]) > MAX_SIDE or len(frames) > MAX_FRAMES:
        raise ClipError(f"A clip of {_size_of(frames)} is larger than the studio keeps.")
    if not isinstance(fps, int) or not 1 <= fps <= 240 or len(frames) > MAX_SECONDS * fps:
        raise ClipError(f"{len(frames)} frames at {fps!r} fps: 1 to 240, whole, for {MAX_SECONDS} s are kept.")
    try:
        size = len(comment.encode())
    except UnicodeEncodeError as error:
        raise ClipError("The comment holds half a character (a lone surrogate) and cannot be stored.") from error
    if size > MAX_COMMENT_BYTES or "\0" in comment:
        raise ClipError(f"The comment cannot be stored: {size:,} bytes of at most {MAX_COMMENT_BYTES:,}, no NUL.")


def _encode(frames: np.ndarray, fps: int, path: Path, comment: str) -> None:
    """Run FFmpeg through MoviePy. The comment is the one text of a person in its arguments (no shell)."""
    padded = np.pad(frames, ((0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0)), mode="edge")
    try:
        # Imported here: it looks for FFmpeg when imported, and only the worker ever needs it.
        from moviepy.video.io.ffmpeg_writer import FFMPEG_VideoWriter

        writer = FFMPEG_VideoWriter(
            f"file:{path}", (padded.shape[2], padded.shape[1]), fps, codec="libx264", preset="veryfast", threads=2,
            ffmpeg_params=[*_ENCODING, "-metadata", f"comment={comment}"],
        )
    except (RuntimeError, OSError) as error:
        raise ClipError(_NO_FFMPEG.format(error)) from error
    complaint = ""
    with writer.proc as process:
        try:
            for frame in padded:
                writer.write_frame(frame)
            process.stdin.close()
            complaint = process.stderr.read().decode(errors="replace")
        except OSError as error:
            complaint = str(error)
    if process.returncode == 0:
        return
    if process.returncode == -signal.SIGXFSZ or any(words in complaint for words in _FULL):
        raise DiskFull("There is no room to encode the video in the temporary folder; free some space there.")
    last = complaint.strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
    raise ClipError(f"FFmpeg could not encode the video: {last[0]}")


def _compare(data: bytes, frames: np.ndarray, fps: int, comment: str) -> None:
    """Read the new file back and refuse it when it is not what was asked for."""
    with _opened(data) as container:
        about = _probe(container)
        decoded = _decode(container, about)
    count, height, width, _ = frames.shape
    even = (count, height + height % 2, width + width % 2, 3)
    if decoded.shape != even or about.fps != fps:
        raise ClipError(f"The encoded video has {_size_of(decoded)} at {about.fps} fps; it was not kept.")
    if about.comment != comment:
        raise ClipError("The settings inside the encoded video are not those that were written; it was not kept.")


@contextmanager
def _opened(source: Path | bytes) -> Iterator[av.container.InputContainer]:
    """An MP4, opened by the MP4 demuxer and nothing else; every failure of FFmpeg becomes a ClipError."""
    name = "The data" if isinstance(source, bytes) else source.name
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            if size > MAX_BYTES:
                raise ClipError(f"{name} has {size:,} bytes; at most {MAX_BYTES:,} are accepted.")
            with av.open(file, format="mp4") as container:
                yield container
    except av.FFmpegError as error:
        raise ClipError(f"{name} is no video the studio can read, or damaged ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise ClipError(f"{name} is damaged: its texts are not text.") from error
    except OSError as error:
        raise ClipError(f"{name} cannot be opened: {error.strerror or error}.") from error


def _probe(container: av.container.InputContainer) -> Probe:
    streams = container.streams.video
    if len(streams) != 1:
        raise ClipError(f"The file has {len(streams)} video tracks; the studio reads files with one.")
    stream = streams[0]
    if stream.codec_context is None or not stream.time_base:
        raise ClipError("The file holds a kind of video the studio cannot decode.")
    width, height, count = stream.codec_context.width, stream.codec_context.height, stream.frames
    rate = stream.average_rate
    if not rate or rate.denominator != 1:
        raise ClipError("The file has no whole number of frames per second; it was not made by this studio.")
    seconds = float((stream.duration or 0) * stream.time_base)
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and 0 < count <= MAX_FRAMES
            and seconds <= MAX_SECONDS and width * height * count * 3 <= MAX_DECODED_BYTES):
        raise ClipError(f"The file says {count} frames of {width}×{height} in {seconds:.0f} s; "
                        "that is empty or larger than the studio reads.")
    comment, fps = container.metadata.get("comment", ""), int(rate)
    exact = _exact_size(comment, width, height)
    return Probe(count, *exact, fps, round(count / fps, 6), stream.codec_context.name, comment)


def _decode(container: av.container.InputContainer, about: Probe) -> np.ndarray:
    """All frames as they are in the file, padding included: uint8 (F, H, W, 3)."""
    context = container.streams.video[0].codec_context
    width, height = context.width, context.height
    frames = np.empty((about.num_frames, height, width, 3), np.uint8)
    count = 0
    for frame in container.decode(video=0):
        if count == about.num_frames or (frame.width, frame.height) != (width, height):
            raise ClipError("The file holds other frames than its header says; it is damaged.")
        frames[count] = frame.to_ndarray(format="rgb24")
        count += 1
    if count != about.num_frames:
        raise ClipError(f"The file ends after {count} of {about.num_frames} frames; it is damaged.")
    return frames


def _exact_size(comment: str, width: int, height: int) -> tuple[int, int]:
    """The size before padding, which only the studio's own document in the comment knows."""
    try:
        result = json.loads(comment)["result"]
        exact = result["width"], result["height"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return width, height
    padded = all(isinstance(side, int) and side + side % 2 == coded
                 for side, coded in zip(exact, (width, height), strict=True))
    return exact if padded else (width, height)


def _shrunk(frame: np.ndarray, width: int) -> Image.Image:
    image = Image.fromarray(frame)
    if image.width <= width:
        return image
    return image.resize((width, max(1, round(image.height * width / image.width))), Image.Resampling.BOX)


def _size_of(frames: np.ndarray) -> str:
    return f"{len(frames)} frames of {frames.shape[2]}×{frames.shape[1]}"
