"""A folder that carries videos from one studio to another.

    manifest.json                the list of the videos, and whether the export is complete
    library/2026-11/<id>.mp4     as in a library, so that a studio can also start on the folder itself
    library/2026-11/<id>.json

A file appears under its name only when it is complete. A video counts only with both files, MP4 and sidecar. An
export does not copy a video that is there already, so a stopped or killed export can simply be repeated.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from core.domain.video import Video, is_id
from core.errors import BadRequest, DamagedVideo, NotFound, ReadOnly, StudioError
from core.library import sidecar
from core.library.atomic_files import PART, disk_errors, sync_folder, write_file
from core.library.incoming import REFUSED
from core.library.library import Library
from core.library.search.entry import Entry
from core.library.storage.video_files import MP4, SIDECAR, VideoFiles

FORMAT = 1
MANIFEST = "manifest.json"
COPIED, THERE = "copied", "there"
_OF_A_STUDIO = ("jobs.sqlite", "studio.lock")
_PIECE = 2**20


@dataclass(frozen=True)
class TransferStep:
    """One finished file: `number` of `total`, its name, its outcome, and the reason if it was refused."""

    number: int
    total: int
    name: str
    outcome: str
    reason: str = ""


@dataclass(frozen=True)
class Found:
    """An MP4 in a folder, the path of the sidecar beside it, and its video if the sidecar is readable."""

    path: Path
    beside: Path | None
    video: Video | None


def export(library: Library, ids: Sequence[str], folder: Path) -> Iterator[TransferStep]:
    """Copy these videos into a folder, one at each step. The caller may stop at any step and repeat it later.

    Raises:
        BadRequest: the folder is no valid target; no file is written.
        DiskFull, ReadOnly, StudioError: the disk refused a write. The files copied before are complete.
    """
    _check_target(library, folder)
    video_files = VideoFiles(folder / "library")
    with disk_errors(str(folder)):
        video_files.root.mkdir(parents=True, exist_ok=True)
    listed = {row["id"]: row for row in manifest(folder)["videos"] if video_files.has(row["id"], MP4)}
    _write_manifest(folder, listed, complete=False)
    for number, video_id in enumerate(ids, 1):
        try:
            video = library.get(video_id)
        except (DamagedVideo, NotFound, ReadOnly) as error:
            yield TransferStep(number, len(ids), video_id, REFUSED, str(error))
            continue
        try:
            outcome = _copy(library, video_files, video)
        except (DamagedVideo, NotFound) as error:
            yield TransferStep(number, len(ids), video_id, REFUSED, str(error))
            continue
        listed[video_id] = {"id": video_id, "bytes": video.result.bytes, "mp4_sha256": video.result.mp4_sha256,
                            "frames_sha256": video.receipt.frames_sha256 or None}
        yield TransferStep(number, len(ids), video_id, outcome)
    _write_manifest(folder, listed, complete=True)


def manifest(folder: Path) -> dict[str, Any]:
    """The manifest of the folder: `{"format", "complete", "videos": [{"id", …}]}`; `videos` is empty without one.

    Raises:
        ReadOnly: a newer studio wrote it.
    """
    try:
        found = orjson.loads((folder / MANIFEST).read_bytes())
        if found["format"] > FORMAT:
            raise ReadOnly(f"{folder} was exported by a newer studio; update this one to read it.")
        rows = [row for row in found["videos"] if is_id(row["id"])]
        return {"format": found["format"], "complete": bool(found["complete"]), "videos": rows}
    except FileNotFoundError:
        return {"format": FORMAT, "complete": True, "videos": []}
    except (OSError, ValueError, KeyError, TypeError):
        return {"format": FORMAT, "complete": False, "videos": []}  # damaged: the import reads the files themselves


def find(folder: Path) -> tuple[Found, ...]:
    """Every MP4 below the folder, in the order of their paths, without symbolic links and the trash of a library.

    Raises:
        BadRequest: there is no such folder.
    """
    if not folder.is_dir():
        raise BadRequest("folder", f"{folder} is no folder.")
    paths = []
    for top, below, names in os.walk(folder):
        below[:] = sorted(name for name in below if (Path(top).name, name) != ("library", "trash"))
        films = (Path(top, name) for name in names if name.lower().endswith(MP4))
        paths += [path for path in films if not path.is_symlink()]
    return tuple(_found(path) for path in sorted(paths))


def _found(path: Path) -> Found:
    beside = path.with_suffix(SIDECAR)
    if not beside.is_file():
        return Found(path, None, None)
    try:
        return Found(path, beside, sidecar.video_of(sidecar.load(beside.read_bytes())))
    except (StudioError, OSError):
        return Found(path, beside, None)  # the import of this file reports the reason


class Twins:
    """Finds videos here with the same frames as an incoming video that has another id.

    A video of the folder itself never counts as a twin. So a video and its identical regeneration in one folder both
    arrive, also when the import is repeated.
    """

    def __init__(self, library: Library, coming: set[str]) -> None:
        self._library = library
        self._alike: dict[tuple[int, ...], list[str]] = {}
        for entry in library.entries():
            if entry.id not in coming and entry.recipe:
                self._alike.setdefault(self._key(entry), []).append(entry.id)

    def of(self, video: Video | None) -> str | None:
        """The id of a video here with the same frames; None if there is none, or if the video itself is here."""
        if video is None or video.recipe is None or self._library.has(video.id):
            return None
        for video_id in self._alike.get((video.result.num_frames, video.result.width, video.result.height,
                                         video.recipe.seed), ()):
            try:
                here = self._library.get(video_id)
            except StudioError:
                continue
            if here.receipt.frames_sha256 == video.receipt.frames_sha256:
                return video_id
        return None

    def _key(self, entry: Entry) -> tuple[int, ...]:
        """The values of the index that are equal for videos with the same frames."""
        return entry.num_frames, entry.width, entry.height, entry.seed


def _check_target(library: Library, folder: Path) -> None:
    target, own = folder.resolve(), library.data_dir.resolve()
    if folder.exists() and not folder.is_dir():
        raise BadRequest("folder", f"{folder} is a file; choose a folder.")
    if target == own or own / "library" in (target, *target.parents):
        raise BadRequest("folder", f"{folder} is where this library itself lies; choose another folder.")
    if any((folder / name).exists() for name in _OF_A_STUDIO):
        raise BadRequest("folder", f"{folder} is the data folder of a studio. Export into another folder, and "
                                   "import that one there.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        raise BadRequest("folder", f"{folder} is not empty and holds no export; choose an empty or a new folder.")


def _copy(library: Library, video_files: VideoFiles, video: Video) -> str:
    """Copy a video unless it is there. Its MP4 is read once and must match the sidecar."""
    mp4, beside = video_files.path(video.id, MP4), video_files.path(video.id, SIDECAR)
    wanted = library.sidecar_path(video.id).read_bytes()
    if _is_there(mp4, beside, video):
        if beside.read_bytes() != wanted:  # the tags have changed since the last export
            write_file(beside, wanted)
        return THERE
    with disk_errors(str(mp4.parent)):
        mp4.parent.mkdir(parents=True, exist_ok=True)
        part = mp4.with_name(mp4.name + PART)
        try:
            _pour(library.mp4_path(video.id), part, video)
            write_file(beside, wanted)
            part.replace(mp4)
        except (OSError, StudioError):
            part.unlink(missing_ok=True)
            raise
        sync_folder(mp4.parent)
    return COPIED


def _is_there(mp4: Path, beside: Path, video: Video) -> bool:
    try:
        known = sidecar.load(beside.read_bytes())["result"]["mp4_sha256"]
        return known == video.result.mp4_sha256 and mp4.stat().st_size == video.result.bytes
    except (OSError, StudioError, KeyError, TypeError):
        return False


def _pour(source: Path, part: Path, video: Video) -> None:
    digest = hashlib.sha256()
    with source.open("rb") as before, part.open("wb") as after:
        while piece := before.read(_PIECE):
            digest.update(piece)
            after.write(piece)
        after.flush()
        os.fsync(after.fileno())
    if digest.hexdigest() != video.result.mp4_sha256:
        raise DamagedVideo(f"The MP4 of {video.id} has changed since it was written: its SHA-256 is not the one "
                           "in its sidecar. Import a good copy of it.")


def _write_manifest(folder: Path, listed: dict[str, dict[str, Any]], complete: bool) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    rows = [listed[video_id] for video_id in sorted(listed)]
    document = {"format": FORMAT, "exported": now, "complete": complete, "videos": rows}
    write_file(folder / MANIFEST, orjson.dumps(document, option=orjson.OPT_INDENT_2))
