"""An MP4 from outside, checked before the library stores it.

    from_inside       the settings in the file itself; they must belong to its frames
    from_beside       the settings in the sidecar beside it, as in the library of its export
    without_recipe    a video of another program: frames without a recipe

Each function reads the file once, decodes every frame, and raises an error if any part is not certain.
"""

import hashlib
import os
import stat
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from core.domain.receipt import NO_RECEIPT
from core.domain.video import Result, Runtime, Video, new_id
from core.errors import ClipError, DamagedVideo, Foreign
from core.library import sidecar
from core.library.media import clip

NAME_LENGTH = 200
PLAYABLE = {"h264": "H.264", "vp9": "VP9", "av1": "AV1"}  # the codecs that every current browser plays in an MP4
_EIGHT_BITS = ("yuv420p", "yuvj420p")


ADDED, HERE, HEALED, REFUSED = "added", "here", "healed", "refused"


@dataclass(frozen=True)
class ImportResult:
    """An imported video and its outcome: `ADDED`, `HERE` (it was here before), `HEALED` (its file was damaged)."""

    video: Video
    outcome: str


@dataclass(frozen=True)
class Incoming:
    """A file that may be stored: its video, its bytes, and the decoded clip."""

    video: Video
    mp4: bytes
    decoded: clip.Clip


def from_outside(path: Path, name: str, unknown: bool, owner: str) -> Incoming:
    """An MP4 by the settings inside it. Without them, and if `unknown`: a video without a recipe, of `owner`."""
    try:
        return from_inside(path, name)
    except Foreign:
        if not unknown:
            raise
        return without_recipe(path, name, owner)


def from_inside(path: Path, name: str = "") -> Incoming:
    """An MP4 of this or another studio, by the settings inside it. It has no verdict: only a comparison here gives one.

    Args:
        name: the name of the file in the error sentences; empty: the name in its path.

    Raises:
        Foreign: not from a studio, or edited since.
        ClipError: not a video.
        ReadOnly: written by a newer studio.
    """
    named, data = Path(name or path.name), _bytes(path)
    about, decoded = clip.probe(data), clip.read(data)
    result = _result(about, data)
    video = sidecar.video_from_comment(about.comment, named, decoded.video_sha256, bytes=result.bytes,
                                       mp4_sha256=result.mp4_sha256)
    if result != video.result:
        raise Foreign(f"{named.name} was edited: its length, size or speed does not match its settings.")
    return Incoming(video, data, decoded)


def from_beside(path: Path, beside: Path) -> Incoming:
    """An MP4 and its sidecar from another library, with tags, favourite and verdict.

    Raises:
        ClipError: the file does not match the sidecar, or is not a video.
        DamagedVideo: the sidecar cannot be read.
        ReadOnly: written by a newer studio.
    """
    try:
        video = sidecar.video_of(sidecar.load(beside.read_bytes()))
    except OSError as error:
        raise DamagedVideo(f"{beside.name} cannot be read: {error.strerror}.") from error
    data = _bytes(path)
    return Incoming(video, data, checked(video, data))


def without_recipe(path: Path, name: str = "", owner: str = "") -> Incoming:
    """An MP4 of another program, unchanged, under a new id.

    Raises:
        ClipError: not a video, larger than the studio reads, or of a kind that not every browser plays.
    """
    named, data = clean_name(name or path.name), _bytes(path)
    about = clip.probe(data)
    if about.codec not in PLAYABLE or about.pixel_format not in _EIGHT_BITS:
        raise ClipError(f"{named} is {about.codec} ({about.pixel_format}), which not every browser plays. Convert "
                        f"it to {', '.join(PLAYABLE.values())} with 8 bits (yuv420p) first.")
    decoded, now = clip.read(data), datetime.now(UTC)
    video = Video(id=new_id(now), created=now.isoformat(timespec="milliseconds"), owner=owner, parent=None,
                  recipe=None, receipt=NO_RECEIPT, result=_result(about, data), runtime=Runtime(), name=named)
    return Incoming(video, data, decoded)


def checked(video: Video, mp4: bytes) -> clip.Clip:
    """The decoded clip, after a check of the bytes against the video's result.

    Raises:
        ClipError: they do not match.
    """
    if hashlib.sha256(mp4).hexdigest() != video.result.mp4_sha256 or len(mp4) != video.result.bytes:
        raise ClipError(f"The bytes of {video.id} do not match its result; it was not stored.")
    decoded = clip.read(mp4)
    count, height, width, _ = decoded.frames.shape
    expected = video.result.num_frames, video.result.height, video.result.width, video.result.fps
    if (count, height, width, decoded.fps) != expected:
        raise ClipError(f"The frames in the MP4 of {video.id} do not match its result; it was not stored.")
    return decoded


def clean_name(name: str) -> str:
    """A file's name as a title: the last part of a path without control characters, at most 200 letters."""
    last = name.replace("\\", "/").rpartition("/")[2]
    kept = "".join(letter for letter in last if unicodedata.category(letter) not in ("Cc", "Cs"))
    return " ".join(kept.split())[:NAME_LENGTH].strip() or "video.mp4"


def _bytes(path: Path) -> bytes:
    """The bytes of a file. A pipe or a device is refused at once, because it may never end."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)),
                       "rb") as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise ClipError(f"{path.name} is no file but a pipe or a device. Name a video file.")
            if about.st_size > clip.MAX_BYTES:
                raise ClipError(f"The file has {about.st_size:,} bytes; at most {clip.MAX_BYTES:,} are accepted.")
            return file.read(clip.MAX_BYTES + 1)
    except OSError as error:
        raise ClipError(f"{path.name} cannot be opened: {error.strerror or error}.") from error


def _result(about: clip.Probe, data: bytes) -> Result:
    return Result(about.num_frames, about.width, about.height, about.fps, about.duration_s, len(data),
                  hashlib.sha256(data).hexdigest(), about.codec)
