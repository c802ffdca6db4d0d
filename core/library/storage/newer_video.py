"""The readable part of a video whose sidecar a newer studio wrote.

The length, size and speed are those of the MP4. From the sidecar it takes only values with the same meaning in every
schema, and only if their form is the form of our schema. The recipe is not among them: a partial recipe would be wrong.
"""

from typing import Any

from core.domain.receipt import NO_RECEIPT
from core.domain.video import Result, Runtime, Video, is_id
from core.errors import StudioError
from core.library import sidecar
from core.library.media import clip
from core.library.storage.video_files import MP4, SIDECAR, VideoFiles

UNTITLED = "A video of a newer studio"


def glimpse(video_files: VideoFiles, video_id: str) -> Video | None:
    """That video, without a recipe; None if its MP4 or its sidecar is unreadable."""
    mp4 = video_files.path(video_id, MP4)
    try:
        document = sidecar.load(video_files.path(video_id, SIDECAR).read_bytes())
        about, size = clip.probe(mp4), mp4.stat().st_size
    except (OSError, StudioError):
        return None
    request, tags = document.get("request"), document.get("tags")
    prompt = request.get("prompt") if isinstance(request, dict) else document.get("name")
    parent = _text(document, "parent")
    day, time = video_id[:8], video_id[9:15]
    return Video(
        id=video_id, owner=_text(document, "owner"), parent=parent if is_id(parent) else None,
        created=_text(document, "created") or
        f"{day[:4]}-{day[4:6]}-{day[6:]}T{time[:2]}:{time[2:4]}:{time[4:]}+00:00",
        recipe=None, name=prompt if isinstance(prompt, str) and prompt else UNTITLED,
        tags=tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else (),
        favorite=document.get("favorite") is True, receipt=NO_RECEIPT, runtime=Runtime(),
        result=Result(about.num_frames, about.width, about.height, about.fps, about.duration_s, size, "",
                      about.codec))


def _text(document: dict[str, Any], name: str) -> str:
    value = document.get(name)
    return value if isinstance(value, str) else ""
