"""A video as text: the sidecar beside the MP4, and the `comment` tag inside it. See docs/sidecar.md."""

import math
from dataclasses import fields
from pathlib import Path
from types import NoneType
from typing import Any

import orjson

from core.domain.receipt import DRIFTED, EQUIVALENT, IDENTICAL, Environment, Receipt, Verdict
from core.domain.request import VideoRequest
from core.domain.video import INCOMPLETE, SCHEMA, Origin, Result, Runtime, Video, is_id
from core.errors import ClipError, DamagedVideo, Foreign

MAX_BYTES = 2**20
_BINDING = '"video_sha256":"{}"'  # in the comment's result; a quote inside a text of JSON never stands bare
_UNBOUND = "0" * 64

_NUMBER = (int, float)
_TEXT_OR_NONE = (str, NoneType)
_TYPES: dict[type, dict[str, Any]] = {
    Video: {"created": str, "owner": str, "parent": _TEXT_OR_NONE},
    VideoRequest: {
        "prompt": str, "negative_prompt": str, "model": str, "num_frames": int, "num_inference_steps": int,
        "guidance_scale": _NUMBER, "fps": int, "seed": int, "width": int, "height": int, "scheduler": str,
        "mode": str,
    },
    Receipt: {
        "noise_sha256": str, "frames_sha256": str, "model": str, "model_source": str, "model_revision": str,
        "weights_sha256": str, "scheduler_config": dict, "method": dict,
    },
    Environment: {
        "device": str, "device_name": str, "dtype": str, "attention_backend": str, "memory_mode": str,
        "num_threads": int, "versions": dict, "cpu_capability": str,
    },
    Result: {
        "num_frames": int, "width": int, "height": int, "fps": _NUMBER, "duration_s": _NUMBER, "bytes": int,
        "mp4_sha256": str, "codec": str,
    },
    Runtime: {f.name: _NUMBER for f in fields(Runtime)},
    Verdict: {"psnr_db": (*_NUMBER, NoneType)},
    Origin: {"kind": str, "created": str},
}


def dump(document: dict[str, Any]) -> bytes:
    """A sidecar's bytes: JSON in UTF-8, indented for people.

    Raises:
        DamagedVideo: the document holds what JSON cannot (half a character, a number beyond 64 bits).
    """
    try:
        return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError as error:
        raise DamagedVideo(f"The settings of this video cannot be written: {error}.") from error


def load(data: bytes) -> dict[str, Any]:
    """A sidecar's bytes as the object they are, unchecked.

    Raises:
        DamagedVideo: not a JSON object, or larger than any sidecar.
    """
    if len(data) > MAX_BYTES:
        raise DamagedVideo(f"The sidecar has {len(data):,} bytes; none is that large.")
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise DamagedVideo("The sidecar is not whole: it is empty, cut short, or another program changed "
                           "it.") from error
    if not isinstance(document, dict):
        raise DamagedVideo("This is not a sidecar of the studio.")
    return document


def video_of(document: dict[str, Any]) -> Video:
    """The video a sidecar describes, every value of its type.

    Raises:
        DamagedVideo: values missing or of the wrong type.
        ReadOnly: written by a newer studio.
    """
    try:
        video = Video.from_document(document)
    except ValueError as error:
        raise DamagedVideo(INCOMPLETE) from error
    if not video.recipe:
        _check_without_recipe(video)
    known = (video, video.request, video.receipt, video.receipt.environment, video.result, video.runtime,
             video.verdict, video.origin, video.origin and video.origin.request)
    for part in known if video.recipe else (video, video.result):
        for name, kind in _TYPES.get(type(part), {}).items():
            value = getattr(part, name)
            if not isinstance(value, kind) or isinstance(value, bool):
                raise DamagedVideo(f"The sidecar is damaged: {name} is {value!r:.40}.")
    result = video.result
    steps = video.request.num_inference_steps if video.recipe else 1
    if min(result.num_frames, result.width, result.height, steps) < 1 or not 0 < result.fps < math.inf:
        raise DamagedVideo("The sidecar is damaged: a size, length or speed in it is less than 1.")
    if video.recipe and not isinstance(result.fps, int):
        raise DamagedVideo(f"The sidecar is damaged: fps is {result.fps!r:.40}, not whole.")
    if not all(isinstance(tag, str) for tag in video.tags) or document["schema"] < SCHEMA:
        raise DamagedVideo("The sidecar is damaged: its tags or its schema are not what they must be.")
    if not all(isinstance(lora, dict) for lora in video.receipt.loras):
        raise DamagedVideo("The sidecar is damaged: its list of LoRAs is not one.")
    said = (*video.receipt.environment.versions.values(), video.receipt.method.get("mode", ""))
    if video.recipe and not all(isinstance(text, str) for text in said):
        raise DamagedVideo("The sidecar is damaged: a version or a mode in it is no text.")
    _check_verdict(document.get("verdict"))
    if video.parent is not None and not is_id(video.parent):
        raise DamagedVideo(f"The sidecar is damaged: parent is {video.parent!r:.40}.")
    for ancestor in video.origin.ancestors if video.origin else ():
        if not isinstance(ancestor, str) or not is_id(ancestor):
            raise DamagedVideo(f"The sidecar is damaged: an ancestor is {ancestor!r:.40}.")
    return video


def _check_without_recipe(video: Video) -> None:
    if not isinstance(video.request.prompt, str):
        raise DamagedVideo(f"The sidecar is damaged: name is {video.request.prompt!r:.40}.")


def _check_verdict(verdict: dict[str, Any] | None) -> None:
    if not verdict:
        return
    word, causes = verdict["verdict"], verdict.get("causes", [])
    if word not in (IDENTICAL, EQUIVALENT, DRIFTED):
        raise DamagedVideo(f"The sidecar is damaged: {word!r:.40} is no verdict.")
    if not isinstance(causes, list) or not all(isinstance(cause, str) for cause in causes):
        raise DamagedVideo("The sidecar is damaged: the causes of its verdict are not text.")


def comment_of(video: Video) -> str:
    """The text of the MP4's `comment` tag: the sidecar without the file's own size and hash, in one line.

    The result may be a preliminary one (bytes 0, hash ""): the tag cannot know them. Instead it has a place for
    the hash of the encoded frames, which `bound` fills.

    Raises:
        ClipError: the settings hold what cannot be stored.
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
    """The comment, bound to the frames with that hash (`Clip.video_sha256`); as long as it was before.

    A comment that `comment_of` did not make has no place for the hash and stays as it is.
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
        Foreign: the comment is not a studio's, or speaks of other frames; the sentence names the file.
        ReadOnly: written by a newer studio.
    """
    try:
        document = load(comment.encode())
        document["result"] = {**document["result"], "bytes": bytes, "mp4_sha256": mp4_sha256}
        video = video_of({**document, "verdict": None})
    except (DamagedVideo, KeyError, TypeError, UnicodeEncodeError) as error:
        raise Foreign(f"{path.name} was not made by this studio, or another program removed the settings inside "
                      "it.") from error
    said = document["result"].get("video_sha256")
    if said is None:
        raise Foreign(f"{path.name} does not say which frames its settings belong to: an early version of the "
                      "studio made it.")
    if said != video_sha256:
        raise Foreign(f"{path.name} was edited: its frames are not those its settings speak of.")
    return video
