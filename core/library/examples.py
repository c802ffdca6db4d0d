"""The videos that ship with the studio: an MP4 and a sidecar for each, in `data/examples`."""

from pathlib import Path

from core.domain.video import Video
from core.errors import NotFound
from core.library.sidecar import load, video_of
from core.settings import REPOSITORY

FOLDER = REPOSITORY / "data" / "examples"


def shipped() -> tuple[Video, ...]:
    """Every example, by id."""
    return tuple(video_of(load(path.read_bytes())) for path in sorted(FOLDER.glob("*.json")))


def shipped_path(video_id: str) -> Path:
    """The MP4 of an example. Raises NotFound: the id is not an example."""
    if video_id not in {video.id for video in shipped()}:
        raise NotFound(f"There is no example {video_id!r}.")
    return FOLDER / f"{video_id}.mp4"
