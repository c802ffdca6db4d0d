"""The FFmpeg process that makes MP4 and WebM, through MoviePy's writer. No other module imports moviepy."""

import contextlib
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import ClipError, DiskFull

# All tags name BT.709, so that every player shows the original colours. The thread count is fixed, and there is no
# encoder stamp, so the same frames give the same bytes on one machine.
_COLOURS = (
    "-vf", "scale=out_color_matrix=bt709:out_range=tv:flags=bicubic+accurate_rnd+full_chroma_inp,format=yuv420p,"
           "setparams=range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709",
    "-fflags", "+bitexact",
)


@dataclass(frozen=True)
class Codec:
    """The name of FFmpeg's encoder, and its arguments."""

    name: str
    arguments: tuple[str, ...]


H264 = Codec("libx264", ("-crf", "14", "-movflags", "+faststart", "-f", "mp4"))
SEEKABLE = Codec("libx264", ("-g", "8", *H264.arguments))  # a player that jumps to a frame decodes at most eight
VP9 = Codec("libvpx-vp9", ("-crf", "18", "-b:v", "0", "-deadline", "good", "-cpu-used", "4", "-row-mt", "1",
                           "-f", "webm"))
_NO_FFMPEG = ("FFmpeg could not be started ({}). It comes with a package: "
              "pip install --force-reinstall imageio-ffmpeg")
_FULL = ("No space left", "File too large", "Disk quota")


def encode(frames: Iterable[np.ndarray], size: tuple[int, int], fps: float, path: Path, comment: str,
           codec: Codec = H264) -> None:
    """Run FFmpeg without a shell. Its only argument with a person's text is the comment.

    Args:
        frames: each uint8 (H, W, 3) RGB; for H.264 with even sides. If the iterator raises, FFmpeg ends at once and
            the exception is passed on.
        size: width, height.

    Raises:
        ClipError: there is no FFmpeg, or it failed.
        DiskFull: no room where `path` is.
    """
    try:
        # Imported here, because the import searches for FFmpeg and only the encoding needs it.
        from moviepy.video.io.ffmpeg_writer import FFMPEG_VideoWriter

        writer = FFMPEG_VideoWriter(
            f"file:{path}", size, fps, codec=codec.name, preset="veryfast", threads=2,
            ffmpeg_params=[*_COLOURS, *codec.arguments, "-metadata", f"comment={comment}"],
        )
    except (RuntimeError, OSError) as error:
        raise ClipError(_NO_FFMPEG.format(error)) from error
    complaint, wanted = "", False
    with writer.proc as process:
        try:
            for frame in frames:
                writer.write_frame(frame)
            process.stdin.close()
            complaint, wanted = process.stderr.read().decode(errors="replace"), True
        except OSError as error:
            complaint, wanted = str(error), True
        finally:
            if not wanted:
                process.kill()
                with contextlib.suppress(OSError):  # FFmpeg cannot read the rest of the pipe any more
                    process.stdin.close()
    if process.returncode == 0:
        return
    too_large = getattr(signal, "SIGXFSZ", None)  # missing on Windows
    if (too_large and process.returncode == -too_large) or any(words in complaint for words in _FULL):
        raise DiskFull(f"There is no room to encode the video in {path.parent}; free some space there.")
    last = complaint.strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
    raise ClipError(f"FFmpeg could not encode the video: {last[0]}")


def ffmpeg_version() -> str:
    """The version of the FFmpeg that writes the videos, and its path.

    Raises:
        ClipError: there is none; the sentence gives the solution.
    """
    import imageio_ffmpeg

    try:
        return f"{imageio_ffmpeg.get_ffmpeg_version()} ({imageio_ffmpeg.get_ffmpeg_exe()})"
    except (RuntimeError, OSError) as error:
        raise ClipError(_NO_FFMPEG.format(error)) from error
