"""A video as text: the sidecar beside the MP4, and the `comment` tag inside it. See docs/sidecar.md."""

import math
from collections.abc import Iterator
from dataclasses import MISSING
from pathlib import Path
from typing import Any

import orjson

from core.domain.documents import WrongValue
from core.domain.verdict import DRIFTED, EQUIVALENT, IDENTICAL
from core.domain.video import SCHEMA, Video, is_id
from core.errors import ClipError, DamagedVideo, Foreign, ReadOnly

INCOMPLETE = "The sidecar is damaged: values in it are missing or wrong."
MAX_BYTES = 2**20
_BINDING = '"video_sha256":"{}"'  # in the comment's result; JSON escapes every quote inside a text
_UNBOUND = "0" * 64


def dump(document: dict[str, Any]) -> bytes:
    """A sidecar's bytes: JSON in UTF-8, indented for people.

    Raises:
        DamagedVideo: the document holds a value that JSON cannot hold (half a character, a number beyond 64 bits).
    """
    try:
        return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError as error:
        raise DamagedVideo(f"The settings of this video cannot be written: {error}.") from error


def load(data: bytes) -> dict[str, Any]:
    """A sidecar's bytes as a JSON object, unchecked.

    Raises:
        DamagedVideo: not a JSON object, or larger than any sidecar.
    """
    if len(data) > MAX_BYTES:
        raise DamagedVideo(f"The sidecar has {len(data):,} bytes; none is that large.")
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise DamagedVideo("The sidecar is incomplete: it is empty or cut short, or another program changed "
                           "it.") from error
    if not isinstance(document, dict):
        raise DamagedVideo("This is not a sidecar of the studio.")
    return document


def video_of(document: Any) -> Video:
    """The video that a sidecar describes; every value has its type.

    Raises:
        DamagedVideo: not a sidecar, or values missing or of the wrong type.
        ReadOnly: written by a newer studio.
    """
    schema = document.get("schema") if isinstance(document, dict) else None
    if not isinstance(schema, int):
        raise DamagedVideo("This is not a sidecar of the studio.")
    if schema > SCHEMA:
        raise ReadOnly(f"This video was written by a newer studio (schema {schema}); "
                       f"this one reads schema {SCHEMA}. Update the studio.")
    try:
        video = Video.from_document(document)
    except WrongValue as error:
        raise DamagedVideo(INCOMPLETE if error.value is MISSING else f"The sidecar is damaged: {error}.") from error
    for problem in _problems(video, schema):
        raise DamagedVideo(f"The sidecar is damaged: {problem}.")
    return video


def _problems(video: Video, schema: int) -> Iterator[str]:
    """The problems of values that have the right type."""
    recipe, result, origin = video.recipe, video.result, video.origin
    if not is_id(video.id):
        yield f"{video.id!r:.40} is not an id"
    if schema < SCHEMA:
        yield f"its schema is {schema}"
    steps = recipe.num_inference_steps if recipe else 1
    if min(result.num_frames, result.width, result.height, steps) < 1 or not 0 < result.fps < math.inf:
        yield "a size, length or speed in it is less than 1"
    if recipe and not isinstance(result.fps, int):
        yield f"fps is {result.fps!r:.40}, not whole"
    if recipe and not isinstance(video.receipt.method.get("mode", ""), str):
        yield "its mode is no text"
    if video.verdict and video.verdict.verdict not in (IDENTICAL, EQUIVALENT, DRIFTED):
        yield f"{video.verdict.verdict!r:.40} is no verdict"
    if video.parent is not None and not is_id(video.parent):
        yield f"parent is {video.parent!r:.40}"
    for ancestor in origin.ancestors if origin else ():
        if not is_id(ancestor):
            yield f"an ancestor is {ancestor!r:.40}"


def comment_of(video: Video) -> str:
    """The text of the MP4's `comment` tag: the sidecar without the file's own size and hash, in one line.

    The result may be a preliminary one (bytes 0, hash ""), because the tag cannot know these values. Instead it has
    a place for the hash of the encoded frames; `bound` fills it.

    Raises:
        ClipError: the settings hold a value that cannot be stored.
    """
    document = video.document()
    for name in ("bytes", "mp4_sha256"):
        document["result"].pop(name)
    document["result"]["video_sha256"] = _UNBOUND
    try:
        return orjson.dumps(document).decode()
    except orjson.JSONEncodeError as error:
        raise ClipError(f"The settings of this video cannot be stored in it: {error}.") from error


def bound(comment: str, video_sha256: str) -> str:
    """The comment, bound to the frames with that hash (`Clip.video_sha256`). Its length does not change.

    A comment that `comment_of` did not make has no place for the hash and is returned unchanged.
    """
    before, place, after = comment.rpartition(_BINDING.format(_UNBOUND))
    return before + _BINDING.format(video_sha256) + after if place else comment


def video_from_comment(comment: str, path: Path, video_sha256: str, *, bytes: int, mp4_sha256: str) -> Video:
    """The video whose MP4 has this comment. It has no verdict: only a comparison made here gives one.

    Args:
        path: of the MP4, for the sentences only.
        video_sha256: of the frames in the MP4 (`Clip.video_sha256`).
        bytes, mp4_sha256: of the MP4; the comment cannot know them.

    Raises:
        Foreign: the comment is not from a studio, or belongs to other frames; the sentence names the file.
        ReadOnly: written by a newer studio.
    """
    try:
        document = load(comment.encode())
        document["result"] = {**document["result"], "bytes": bytes, "mp4_sha256": mp4_sha256}
        video = video_of({**document, "verdict": None})
    except (DamagedVideo, KeyError, TypeError, UnicodeEncodeError) as error:
        raise Foreign(f"{path.name} was not made by this studio, or another program removed the settings inside "
                      "it.") from error
    named = document["result"].get("video_sha256")
    if named is None:
        raise Foreign(f"{path.name} does not say which frames its settings belong to: an early version of the "
                      "studio made it.")
    if named != video_sha256:
        raise Foreign(f"{path.name} was edited: its frames do not match its settings.")
    return video
