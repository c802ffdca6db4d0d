"""How an arrival becomes a video of the library: compared with what is here, and written, or not written again."""

from dataclasses import replace

from core.domain.video import Video
from core.errors import ClipError, DamagedVideo, NotFound
from core.faults import reach
from core.library.atomic_files import file_sha256
from core.library.incoming import ADDED, HEALED, HERE, Arrival, Kept
from core.library.media import clip
from core.library.search.catalogue import Catalogue
from core.library.search.index import Index
from core.library.storage.video_files import MP4, Shelf


def keep(arrival: Arrival, shelf: Shelf, index: Index, catalogue: Catalogue) -> Kept:
    """Keep a video. When this returns, it survives any crash. Nobody else writes meanwhile.

    Raises:
        ClipError: another video has that id.
        DiskFull: no room; nothing of it is left.
        ReadOnly: a newer studio has written that id.
    """
    arrival = _known_by_file(arrival, shelf, index)
    video, outcome = arrival.video, ADDED
    stored, wanted = _stored(shelf, video.id), video.result.mp4_sha256
    known = stored is not None and stored.result.mp4_sha256 == wanted
    if shelf.has(video.id, MP4):
        kept = file_sha256(shelf.path(video.id, MP4))
        if stored is not None and (kept == wanted if known else _repacked(stored, kept, shelf, arrival)):
            catalogue.put(stored)
            return Kept(stored, HERE)
        if kept != wanted and not known:
            raise ClipError(f"Another video is already kept as {video.id}; nothing was changed.")
        outcome = HEALED
    back = stored if known and index.get(video.id) is not None else shelf.lost(video)
    if back is not None:
        video, outcome = back, HEALED  # its MP4 was damaged or lost: it comes back with its tags
    shelf.write(video, arrival.mp4, arrival.decoded)
    catalogue.put(video)
    reach("publish:index")
    return Kept(video, outcome)


def _known_by_file(arrival: Arrival, shelf: Shelf, index: Index) -> Arrival:
    """A video without a recipe has no id of its own: the same file, if it is here already, gives it one."""
    for entry in () if arrival.video.recipe else index.all():
        if entry.mp4_sha256 == arrival.video.result.mp4_sha256:
            known = _stored(shelf, entry.id)
            return arrival if known is None else replace(arrival, video=known)
    return arrival


def _stored(shelf: Shelf, video_id: str) -> Video | None:
    """What the sidecar says, None when there is no readable one. Raises ReadOnly when it is newer."""
    try:
        return shelf.read(video_id)
    except (NotFound, DamagedVideo):
        return None


def _repacked(here: Video, here_sha256: str, shelf: Shelf, arrival: Arrival) -> bool:
    """Whether the arrival is only another packing of the video that is here, whose file is whole."""
    if here_sha256 != here.result.mp4_sha256 or here.request != arrival.video.request:
        return False
    return clip.read(shelf.path(here.id, MP4)).video_sha256 == arrival.decoded.video_sha256 != ""
