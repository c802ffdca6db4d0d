"""Checks the files against their sidecars. It reads every byte of every MP4."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.domain.video import Video
from core.errors import DamagedVideo, NotFound, ReadOnly
from core.library.atomic_files import PART, file_sha256
from core.library.storage.trash import Trash
from core.library.storage.video_files import MP4, SIDECAR, Folder, VideoFiles

_SETTLED_S = 60  # another process may still be writing a younger file


@dataclass(frozen=True)
class Finding:
    """One problem: the video, the file, the problem and the solution. Both texts are sentences."""

    id: str
    path: Path
    problem: str
    mend: str


_RESTORE = "Import a copy of the MP4, or delete the video."


def whole(video_files: VideoFiles, trash: Trash, video_id: str, indexed: bool) -> Video:
    """One video, from its sidecar. `indexed`: the index knows it.

    Raises:
        NotFound: no such video here. DamagedVideo: a file of it is missing or unreadable.
        ReadOnly: written by a newer studio.
    """
    here = video_files.state_of(video_id)
    if here.mp4 is None and trash.has(video_id):
        raise NotFound(f"The video {video_id} is in the trash. Restore it to use it.")
    if here.mp4 is None and not (here.has_sidecar and indexed):
        raise NotFound(f"There is no video {video_id}.")
    if here.mp4 is None:
        raise DamagedVideo(f"The MP4 of {video_id} is missing. Import a copy of it, or delete the video.")
    if isinstance(here.unreadable, ReadOnly):
        raise here.unreadable
    if here.unreadable is not None:
        raise DamagedVideo(f"The settings of this video cannot be read: {video_id}{SIDECAR} is damaged. They are "
                           "inside its MP4, too: import that, and the file is made again; or delete the "
                           "video.") from here.unreadable
    if here.video is None:
        raise DamagedVideo(f"The sidecar of {video_id} is missing. Look through all files (reindex) to "
                           "make it again from its MP4.")
    if here.bytes != here.video.result.bytes:
        raise DamagedVideo(f"The MP4 of {video_id} is not as long as it was written: it is cut short, or another "
                           "file. Import a copy of it, or delete the video.")
    return here.video


def examine(video_files: VideoFiles, ids: set[str] | None, still: AbstractContextManager[Any],
            settled: bool) -> Iterator[Finding]:
    """All problems of these videos (None: all videos), oldest month first.

    Args:
        still: a lock against writers; entered once for each folder, for a moment.
        settled: False: another process may be writing; files that look unfinished are skipped.

    Raises:
        NotFound: one of the ids belongs to no video.
    """
    for video_id in ids or ():
        if not video_files.has(video_id, MP4) and not video_files.has(video_id, SIDECAR):
            raise NotFound(f"There is no video {video_id}.")
    for path in video_files.folders():
        with still:
            folder = video_files.folder(path)
            found = list(_structure(video_files, folder, ids, settled))
        yield from found
        for video_id in sorted(folder.whole):
            if ids is None or video_id in ids:
                yield from _content(video_files, video_id)


def _structure(video_files: VideoFiles, folder: Folder, ids: set[str] | None, settled: bool) -> Iterator[Finding]:
    for part in folder.parts:
        video_id = part.name.partition(".")[0]
        if (ids is None or video_id in ids) and (settled or _is_old(part)):
            yield Finding(video_id, part, f"{part.name} is a leftover of an interrupted write ({PART}).",
                          "Restart the studio: it removes such files.")
    films, sidecars = folder.having[MP4], folder.having[SIDECAR]
    for video_id in sorted(films ^ sidecars):
        if ids is not None and video_id not in ids:
            continue
        mp4, beside = video_files.path(video_id, MP4), video_files.path(video_id, SIDECAR)
        if video_id in films:
            yield Finding(video_id, beside, f"{beside.name} is missing beside its MP4.",
                          "Reindex: it is made again from the settings inside the MP4.")
        elif settled or _is_old(beside):
            yield Finding(video_id, mp4, f"{mp4.name} is missing; only its sidecar is here.",
                          "Import a copy of the MP4, or generate it again from the settings in the sidecar.")


def _content(video_files: VideoFiles, video_id: str) -> Iterator[Finding]:
    mp4, beside = video_files.path(video_id, MP4), video_files.path(video_id, SIDECAR)
    try:
        video = video_files.read(video_id)
        size, sha256 = mp4.stat().st_size, file_sha256(mp4)
    except (NotFound, FileNotFoundError):
        return  # deleted during the check
    except ReadOnly as error:
        yield Finding(video_id, beside, str(error), "Update the studio.")
    except DamagedVideo as error:
        yield Finding(video_id, beside, f"{beside.name}: {error}",
                      "Import the MP4 beside it: its settings are inside. Tags added later are lost.")
    except OSError as error:
        yield Finding(video_id, mp4, f"{mp4.name} cannot be read: {error.strerror}.", _RESTORE)
    else:
        if size != video.result.bytes:
            yield Finding(video_id, mp4, f"{mp4.name} has {size:,} bytes; its sidecar says "
                                         f"{video.result.bytes:,}.", _RESTORE)
        elif sha256 != video.result.mp4_sha256:
            yield Finding(video_id, mp4, f"{mp4.name} has changed since it was written: its SHA-256 is not the "
                                         "one in its sidecar.", _RESTORE)


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > _SETTLED_S
    except FileNotFoundError:
        return False
