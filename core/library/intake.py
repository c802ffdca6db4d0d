"""Stores an incoming video in the library, unless the library already has a good copy of it."""

from pathlib import Path

from core.domain.video import Video
from core.errors import ClipError, ReadOnly
from core.faults import reach
from core.library.atomic_files import file_sha256
from core.library.incoming import ADDED, HEALED, HERE, ImportResult, Incoming
from core.library.media import clip
from core.library.search.catalogue import Catalogue
from core.library.search.index import Index
from core.library.storage.video_files import VideoFiles, VideoState


def keep(incoming: Incoming, video_files: VideoFiles, index: Index, catalogue: Catalogue) -> ImportResult:
    """Store a video. When this returns, the video survives any crash. The caller holds the lock for writing.

    Raises:
        ClipError: another video has that id.
        DiskFull: no room; no part of it remains.
        ReadOnly: a newer studio has written that id.
    """
    video, here = _known_by_file(incoming.video, video_files, index)
    if isinstance(here.unreadable, ReadOnly):
        raise here.unreadable
    outcome, stored, wanted = ADDED, here.video, video.result.mp4_sha256
    known = stored is not None and stored.result.mp4_sha256 == wanted
    if here.mp4 is not None:
        found = file_sha256(here.mp4)
        if stored is not None and (found == wanted if known else _repacked(stored, here.mp4, found, incoming)):
            catalogue.put(stored)
            return ImportResult(stored, HERE)
        if found != wanted and not known:
            raise ClipError(f"Another video is already stored as {video.id}; the library was not changed.")
        outcome = HEALED
    back = stored if known and index.get(video.id) is not None else here.lost
    if back is not None and back.result.mp4_sha256 == wanted:
        video, outcome = back, HEALED  # its MP4 was damaged or lost: the good copy gets its old tags
    video_files.write(video, incoming.mp4, incoming.decoded)
    catalogue.put(video)
    reach("publish:index")
    return ImportResult(video, outcome)


def _known_by_file(video: Video, video_files: VideoFiles, index: Index) -> tuple[Video, VideoState]:
    """The video with the id it has here, and the state of that id here.

    A video without a recipe has no fixed id. If the same file is here already, the video gets the id of that file.
    """
    for entry in () if video.recipe else index.all():
        if entry.mp4_sha256 == video.result.mp4_sha256:
            here = video_files.state_of(entry.id)
            if here.video is not None or isinstance(here.unreadable, ReadOnly):
                return here.video or video, here
            break
    return video, video_files.state_of(video.id)


def _repacked(here: Video, mp4: Path, sha256: str, incoming: Incoming) -> bool:
    """Whether the incoming file holds the same frames and recipe as the undamaged file here, in another container."""
    if sha256 != here.result.mp4_sha256 or here.recipe != incoming.video.recipe:
        return False
    return clip.read(mp4).video_sha256 == incoming.decoded.video_sha256 != ""
