"""How an arrival becomes a video of the library: compared with what is here, and written, or not written again."""

from dataclasses import replace

from core.domain.video import Video
from core.errors import ClipError, DamagedVideo, NotFound
from core.faults import reach
from core.library.atomic_files import file_sha256
from core.library.incoming import ADDED, HEALED, HERE, ImportResult, Incoming
from core.library.media import clip
from core.library.search.catalogue import Catalogue
from core.library.search.index import Index
from core.library.storage.video_files import MP4, VideoFiles


def keep(incoming: Incoming, video_files: VideoFiles, index: Index, catalogue: Catalogue) -> ImportResult:
    """Keep a video. When this returns, it survives any crash. Nobody else writes meanwhile.

    Raises:
        ClipError: another video has that id.
        DiskFull: no room; nothing of it is left.
        ReadOnly: a newer studio has written that id.
    """
    incoming = _known_by_file(incoming, video_files, index)
    video, outcome = incoming.video, ADDED
    stored, wanted = _stored(video_files, video.id), video.result.mp4_sha256
    known = stored is not None and stored.result.mp4_sha256 == wanted
    if video_files.has(video.id, MP4):
        kept = file_sha256(video_files.path(video.id, MP4))
        if stored is not None and (kept == wanted if known else _repacked(stored, kept, video_files, incoming)):
            catalogue.put(stored)
            return ImportResult(stored, HERE)
        if kept != wanted and not known:
            raise ClipError(f"Another video is already kept as {video.id}; nothing was changed.")
        outcome = HEALED
    back = stored if known and index.get(video.id) is not None else video_files.lost(video)
    if back is not None:
        video, outcome = back, HEALED  # its MP4 was damaged or lost: it comes back with its tags
    video_files.write(video, incoming.mp4, incoming.decoded)
    catalogue.put(video)
    reach("publish:index")
    return ImportResult(video, outcome)


def _known_by_file(incoming: Incoming, video_files: VideoFiles, index: Index) -> Incoming:
    """A video without a recipe has no id of its own: the same file, if it is here already, gives it one."""
    for entry in () if incoming.video.recipe else index.all():
        if entry.mp4_sha256 == incoming.video.result.mp4_sha256:
            known = _stored(video_files, entry.id)
            return incoming if known is None else replace(incoming, video=known)
    return incoming


def _stored(video_files: VideoFiles, video_id: str) -> Video | None:
    """What the sidecar says, None when there is no readable one. Raises ReadOnly when it is newer."""
    try:
        return video_files.read(video_id)
    except (NotFound, DamagedVideo):
        return None


def _repacked(here: Video, here_sha256: str, video_files: VideoFiles, incoming: Incoming) -> bool:
    """Whether the arrival is only another packing of the video that is here, whose file is whole."""
    if here_sha256 != here.result.mp4_sha256 or here.recipe != incoming.video.recipe:
        return False
    return clip.read(video_files.path(here.id, MP4)).video_sha256 == incoming.decoded.video_sha256 != ""
