"""Frames to MP4 and back.

An FFmpeg process makes the file (core/library/media/encoding.py). PyAV writes the comment into it, and reads all
files, also those from outside. It always uses the MP4 demuxer and a Python file object. So FFmpeg never sees a path:
an ffconcat list named .mp4 opens other files if FFmpeg guesses the demuxer. Every file is read back and compared
before it gets its final name. No other module of the project imports av.

The comment is written last, because its content is unknown when encoding begins. A studio's document in it names
the frames it belongs to by a hash of the decoded frames (`Clip.video_sha256`). Zeros hold its place until then.
"""

import hashlib
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from core.domain.video import Result
from core.errors import ClipError
from core.library.atomic_files import disk_errors, write_file
from core.library.media import metrics
from core.library.media.encoding import Encoding, padded
from core.library.sidecar import bound

MAX_BYTES = 512 * 2**20
MAX_DECODED_BYTES = 2 * 2**30
MAX_FRAMES = 4096
MAX_SECONDS = 600
MAX_FPS = 240
MAX_SIDE = 4096
MAX_COMMENT_BYTES = 120_000  # Linux passes at most 128 KiB in one argument
MIN_LUMA_PSNR_DB = 25.0  # of the worst frame; even black-and-white noise, the hardest content, gets over 29

_BT709, _TV_RANGE = 1, 1  # FFmpeg's numbers for them


@dataclass(frozen=True)
class Clip:
    """A decoded file.

    Attributes:
        frames: uint8 (F, H, W, 3) RGB; fps: frames per second, the average if they vary, to 3 decimals.
        comment: the comment tag ("" if none).
        video_sha256: of the decoded yuv420p planes Y, U, V of each frame, padding included. It is equal for every
            decoder, and equal in a copy that was not encoded again. "" if the file has other colours.
    """

    frames: np.ndarray
    fps: float
    comment: str
    video_sha256: str


@dataclass(frozen=True)
class Probe:
    """The values of a file's header, without decoding; width and height are exact, without padding."""

    num_frames: int
    width: int
    height: int
    fps: float
    duration_s: float
    codec: str
    comment: str
    pixel_format: str


def write(frames: np.ndarray, fps: int, path: Path, comment: str) -> Result:
    """Write an H.264 MP4 (yuv420p, faststart). It gets its final name after it was read back and compared.

    Args:
        frames: uint8 (F, H, W, 3) RGB. An odd side is padded by its last row or column (4:2:0 needs even sides).
            `read` removes the padding if the comment is a studio's document.
        comment: the text of the `comment` tag; any Unicode without NUL, at most 120,000 bytes in UTF-8. A
            studio's document (`sidecar.comment_of`) is bound to the frames.

    Raises:
        ClipError: frames of another form, no FFmpeg, or the file that was read back differs.
        DiskFull: no room; no file remains.
    """
    data, result = encode_bytes(frames, fps, comment)
    write_file(path, data)
    return result


def encode_bytes(frames: np.ndarray, fps: int, comment: str) -> tuple[bytes, Result]:
    """The same MP4 as `write`, as bytes, for a process that owns no library."""
    _check(frames, fps, comment)
    with Encoding(fps) as encoding:
        encoding.add(frames)
        return finished(encoding, frames, fps, comment)


def finished(encoding: Encoding, frames: np.ndarray, fps: int, comment: str) -> tuple[bytes, Result]:
    """The same MP4 of frames that were all given to `encoding`, in any portions; raises like `write`."""
    _check(frames, fps, comment)
    data = _with_comment(encoding.file(), comment)
    data = _bound(data, comment, _compare(data, frames, fps, comment))
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
        frames, video_sha256 = _decode(container, about)
    return Clip(frames[:, : about.height, : about.width], about.fps, about.comment, video_sha256)


def stream(source: Path | bytes) -> Iterator[np.ndarray]:
    """The frames of an MP4 one at a time, uint8 (H, W, 3), to save memory; raises like `read`."""
    with _opened(source) as container:
        about, converter = _probe(container), VideoReformatter()
        for frame in _frames(container, about):
            yield _rgb(frame, converter)[: about.height, : about.width]


def probe(source: Path | bytes) -> Probe:
    """Read an MP4's header; raises ClipError like `read`."""
    with _opened(source) as container:
        return _probe(container)


def _check(frames: np.ndarray, fps: int, comment: str) -> None:
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or 0 in frames.shape:
        raise ClipError(f"Frames must be uint8 (F, H, W, 3), not {frames.dtype} {frames.shape}.")
    if max(frames.shape[1:3]) > MAX_SIDE or len(frames) > MAX_FRAMES:
        count, height, width, _ = frames.shape
        raise ClipError(f"A clip of {count} frames of {width}×{height} is larger than the studio accepts.")
    if not isinstance(fps, int) or not 1 <= fps <= MAX_FPS or len(frames) > MAX_SECONDS * fps:
        raise ClipError(f"{len(frames)} frames at {fps!r} fps: 1 to {MAX_FPS}, whole, for {MAX_SECONDS} s.")
    try:
        size = len(comment.encode())
    except UnicodeEncodeError as error:
        raise ClipError("The comment holds half a character (a lone surrogate) and cannot be stored.") from error
    if size > MAX_COMMENT_BYTES or "\0" in comment:
        raise ClipError(f"The comment cannot be stored: {size:,} bytes of at most {MAX_COMMENT_BYTES:,}, no NUL.")


def _compare(data: bytes, frames: np.ndarray, fps: int, comment: str) -> str:
    """Read the new file back and return the hash of its frames. Raises ClipError: it differs from the request."""
    digest, worst, size = hashlib.sha256(), 0.0, padded(frames[0]).shape[:2]
    with _opened(data) as container:
        about = _probe(container)
        coded = container.streams.video[0].codec_context
        if (about.num_frames, coded.height, coded.width) != (len(frames), *size) or about.fps != fps:
            raise ClipError(f"The encoded video has {about.num_frames} frames of {coded.width}×{coded.height} at "
                            f"{about.fps} fps; it was not stored.")
        for wanted, frame in zip(frames, _frames(container, about), strict=True):
            planes = _planes(frame)
            if planes is None:
                raise ClipError("The encoded video does not have the requested colours; it was not stored.")
            digest.update(planes.data)
            luma = metrics.luma(padded(wanted)) * (219 / 255) + 16  # from 0 to 255 to the range of the file
            worst = max(worst, float(np.square(planes[: frame.height] - luma).mean()))
    if worst > 255**2 / 10 ** (MIN_LUMA_PSNR_DB / 10):
        raise ClipError("The encoded video does not show the given frames; it was not stored.")
    if about.comment != comment:
        raise ClipError("The settings inside the encoded video differ from the written ones; it was not stored.")
    return digest.hexdigest()


def _with_comment(path: Path, comment: str) -> bytes:
    """The MP4 at `path` with the comment inside: the same packets, another header."""
    whole, options = path.with_name("whole.mp4"), {"movflags": "faststart", "fflags": "bitexact"}
    with (_opened(path) as given, disk_errors("the temporary folder"),
          av.open(str(whole), "w", format="mp4", options=options) as out):
        out.metadata["comment"] = comment
        stream = out.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    return whole.read_bytes()


def _bound(data: bytes, comment: str, video_sha256: str) -> bytes:
    """The file with the hash of its frames in the comment, in place of the zeros. Its length does not change."""
    whole = bound(comment, video_sha256)
    if whole == comment:
        return data
    data = data.replace(comment.encode(), whole.encode(), 1)
    if probe(data).comment != whole:
        raise ClipError("The settings inside the encoded video could not be bound to its frames; it was not stored.")
    return data


@contextmanager
def _opened(source: Path | bytes) -> Iterator[av.container.InputContainer]:
    """An MP4, opened only by the MP4 demuxer; every failure of FFmpeg becomes a ClipError."""
    name = "The file" if isinstance(source, bytes) else source.name
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            if size > MAX_BYTES:
                raise ClipError(f"{name} has {size:,} bytes; at most {MAX_BYTES:,} are accepted.")
            with av.open(file, mode="r", format="mp4") as container:
                yield container
    except av.FFmpegError as error:
        raise ClipError(f"{name} is no video the studio can read: damaged, cut short or another kind.") from error
    except UnicodeDecodeError as error:
        raise ClipError(f"{name} is damaged: its texts are not text.") from error
    except OSError as error:
        raise ClipError(f"{name} cannot be opened: {error.strerror or error}.") from error


def _probe(container: av.container.InputContainer) -> Probe:
    streams = container.streams.video
    if len(streams) != 1:
        raise ClipError(f"The file has {len(streams)} video tracks; the studio reads files with one.")
    stream = streams[0]
    context = stream.codec_context
    if context is None or not stream.time_base:
        raise ClipError("The file holds a kind of video the studio cannot decode.")
    width, height, count = context.width, context.height, stream.frames
    rate = stream.average_rate
    if not rate or not 0.1 <= rate <= MAX_FPS:
        raise ClipError(f"The header gives {float(rate or 0):g} frames per second; 0.1 to {MAX_FPS} are read.")
    seconds = float((stream.duration or 0) * stream.time_base)
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and 0 < count <= MAX_FRAMES
            and seconds <= MAX_SECONDS and width * height * count * 3 <= MAX_DECODED_BYTES):
        raise ClipError(f"The header gives {count} frames of {width}×{height} in {seconds:.0f} s; "
                        "that is empty or larger than the studio reads.")
    comment, fps = container.metadata.get("comment", ""), _number(float(rate))
    exact = _exact_size(comment, width, height)
    return Probe(count, *exact, fps, round(count / fps, 6), context.codec.canonical_name,
                 comment, context.pix_fmt or "")


def _number(fps: float) -> float:
    return int(fps) if fps.is_integer() else round(fps, 3)


def _decode(container: av.container.InputContainer, about: Probe) -> tuple[np.ndarray, str]:
    """All frames of the file with their padding, uint8 (F, H, W, 3), and `Clip.video_sha256`."""
    context = container.streams.video[0].codec_context
    frames = np.empty((about.num_frames, context.height, context.width, 3), np.uint8)
    digest, ours, converter = hashlib.sha256(), True, VideoReformatter()
    for number, frame in enumerate(_frames(container, about)):
        frames[number] = _rgb(frame, converter)
        planes = _planes(frame)
        if planes is None:
            ours = False
        else:
            digest.update(planes.data)
    return frames, digest.hexdigest() if ours else ""


def _frames(container: av.container.InputContainer, about: Probe) -> Iterator[av.VideoFrame]:
    """Exactly the frames that the header announces, in display order."""
    context = container.streams.video[0].codec_context
    size, count = (context.width, context.height), 0
    for frame in container.decode(video=0):
        if count == about.num_frames or (frame.width, frame.height) != size:
            raise ClipError("The frames of the file do not match its header; it is damaged.")
        yield frame
        count += 1
    if count != about.num_frames:
        raise ClipError(f"The file ends after {count} of {about.num_frames} frames; it is damaged.")


def _rgb(frame: av.VideoFrame, converter: VideoReformatter) -> np.ndarray:
    """One frame as uint8 (H, W, 3). All frames of a file share one converter with one thread. A new converter for each
    small frame takes eight times as long.
    """
    return converter.reformat(frame, format="rgb24", threads=1).to_ndarray()


def _planes(frame: av.VideoFrame) -> np.ndarray | None:
    """Y, then U and V of one frame, uint8 (H * 3 / 2, W); None if its colours are not the studio's."""
    ours = (frame.format.name, int(frame.colorspace), int(frame.color_range)) == ("yuv420p", _BT709, _TV_RANGE)
    return frame.to_ndarray() if ours and frame.width % 2 == frame.height % 2 == 0 else None


def _exact_size(comment: str, width: int, height: int) -> tuple[int, int]:
    """The size before padding. Only the studio's own document in the comment has it."""
    try:
        result = json.loads(comment)["result"]
        exact = result["width"], result["height"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return width, height
    padded = all(isinstance(side, int) and side + side % 2 == coded
                 for side, coded in zip(exact, (width, height), strict=True))
    return exact if padded else (width, height)
