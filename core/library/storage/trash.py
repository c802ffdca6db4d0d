"""The trash: deleted videos with all their files, until a person restores them or their time is over.

`library/trash/20261124-150301/<id>.mp4 .json .poster.webp .animation.webp`: the folder's name is the time of the
deletion (UTC). A deletion only renames files. Videos that are deleted together are in one folder.

    put:     MP4 (from here on it is in the trash) → sidecar → poster, animation
    restore: animation, poster → sidecar → MP4 (from here on it is in the library)
    erase:   MP4 (from here on it is gone) → sidecar, poster, animation

The other files follow the MP4: after a crash `settle` moves the files on the wrong side.
"""

import os
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from core.domain.video import Video
from core.errors import DamagedVideo, NotFound, ReadOnly, StudioError
from core.faults import reach
from core.library import sidecar
from core.library.atomic_files import disk_errors, sync_folder
from core.library.storage.video_files import ANIMATION, MP4, POSTER, SIDECAR, SUFFIXES, VideoFiles, named

_MOMENT = re.compile(r"[0-9]{8}-[0-9]{6}")


@dataclass(frozen=True)
class Trashed:
    """A video in the trash.

    Attributes:
        deleted: time of the deletion, UTC, ISO 8601.
        bytes: size of its MP4.
        video: None if its sidecar is unreadable or was not requested.
    """

    id: str
    deleted: str
    bytes: int
    video: Video | None = None


@dataclass(frozen=True)
class TrashPage:
    """One page of the trash, the latest deletion first; `total` and `bytes` count all pages."""

    videos: tuple[Trashed, ...]
    total: int
    bytes: int
    page: int = 1
    pages: int = 1


class Trash:
    """The trash of `video_files`. It holds no state; only the process that owns the library changes it."""

    def __init__(self, video_files: VideoFiles) -> None:
        self.root = video_files.root / "trash"
        self._video_files = video_files

    def content(self) -> list[Trashed]:
        """Every video in it, the latest deletion first; sidecars are not read."""
        found: dict[str, Trashed] = {}
        for folder in self._folders():
            moment = datetime.strptime(folder.name, "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
            with os.scandir(folder) as entries:
                for entry in entries:
                    video_id, suffix = named(entry.name)
                    if suffix == MP4 and video_id not in found:
                        found[video_id] = Trashed(video_id, moment.isoformat(), entry.stat().st_size)
        return sorted(found.values(), key=lambda each: (each.deleted, each.id), reverse=True)

    def page(self, number: int = 1, page_size: int = 24) -> TrashPage:
        """One page of it, the latest deletion first. A number beyond the last page gives the last page."""
        found = self.content()
        pages = max(1, -(-len(found) // page_size))
        number = min(max(1, number), pages)
        shown = found[(number - 1) * page_size : number * page_size]
        return TrashPage(tuple(replace(each, video=self.read(each.id)) for each in shown), len(found),
                         sum(each.bytes for each in found), number, pages)

    def read(self, video_id: str) -> Video | None:
        """The video of its sidecar, or None if that is unreadable."""
        try:
            path = self.path(video_id, SIDECAR)
            return None if path is None else sidecar.video_of(sidecar.load(path.read_bytes()))
        except (OSError, DamagedVideo, ReadOnly):
            return None

    def path(self, video_id: str, suffix: str) -> Path | None:
        """The path of that file in the trash, or None. Raises NotFound: not an id."""
        folder = self._folder_of(video_id)
        path = folder and folder / f"{video_id}{suffix}"
        return path if path and path.is_file() else None

    def has(self, video_id: str) -> bool:
        """Whether that video is in the trash. Raises NotFound: not an id."""
        return self._folder_of(video_id) is not None

    def put(self, video_id: str, moment: datetime) -> None:
        """Move a video from the library into the trash. It replaces an older one with the same id.

        Raises:
            ReadOnly, StudioError: the disk refused.
        """
        folder = self.root / f"{moment.astimezone(UTC):%Y%m%d-%H%M%S}"
        source = self._video_files.path(video_id, MP4)
        with disk_errors(str(self.root)):
            if not folder.is_dir():
                folder.mkdir(parents=True, exist_ok=True)
                sync_folder(self.root)
            source.replace(folder / source.name)
            reach("trash:mp4")
            for suffix in (SIDECAR, POSTER, ANIMATION):
                self._move(video_id, suffix, source.parent, folder)
                reach(f"trash:{suffix.split('.')[1]}")
            sync_folder(folder)
            sync_folder(source.parent)
            for older in self._folders():
                if older != folder and (older / source.name).exists():
                    self._erase(video_id, older)
                    self._tidy(older)

    def restore(self, video_id: str) -> None:
        """Move a video from the trash back to its place in the library.

        Raises:
            NotFound: it is not in the trash.
            StudioError: a video of that id is in the library, or the disk refused.
        """
        folder = self._folder_of(video_id)
        if folder is None:
            raise NotFound(f"There is no video {video_id} in the trash.")
        if self._video_files.has(video_id, MP4):
            raise StudioError(f"{video_id} is in the library already; delete the copy in the trash for good.")
        target = self._video_files.path(video_id, MP4).parent
        with disk_errors(str(target)):
            target.mkdir(parents=True, exist_ok=True)
            for suffix in (ANIMATION, POSTER, SIDECAR):
                self._move(video_id, suffix, folder, target)
                reach(f"restore:{suffix.split('.')[1]}")
            self._move(video_id, MP4, folder, target)
            reach("restore:mp4")
            sync_folder(target)
            self._tidy(folder)

    def erase(self, video_id: str) -> None:
        """Remove a video from the trash permanently. Raises NotFound, StudioError."""
        folder = self._folder_of(video_id)
        if folder is None:
            raise NotFound(f"There is no video {video_id} in the trash.")
        with disk_errors(str(self.root)):
            self._erase(video_id, folder)
            self._tidy(folder)

    def due(self, days: int, now: datetime, limit: int) -> list[str]:
        """The ids of videos deleted `days` days ago or earlier, the oldest first, at most `limit`."""
        last, found = f"{now.astimezone(UTC) - timedelta(days=days):%Y%m%d-%H%M%S}", list[str]()
        for folder in self._folders()[::-1]:
            if folder.name > last or len(found) >= limit:
                break
            names = sorted(named(path.name) for path in folder.iterdir())
            found += [video_id for video_id, suffix in names if suffix == MP4]
        return found[:limit]

    def settle(self) -> int:
        """After a crash, move files to the side of their MP4; returns the number of moved or removed files."""
        settled = 0
        seen: set[str] = set()
        with disk_errors(str(self.root)):
            for folder in self._folders():
                videos: dict[str, set[str]] = {}
                for path in folder.iterdir():
                    video_id, suffix = named(path.name)
                    videos.setdefault(video_id, set()).add(suffix)
                for video_id, suffixes in videos.items():
                    if video_id in seen:  # deleted again later
                        self._erase(video_id, folder)
                        settled += len(suffixes)
                    elif video_id and suffixes != SUFFIXES:
                        settled += self._settle(video_id, suffixes, folder)
                seen |= {video_id for video_id, suffixes in videos.items() if MP4 in suffixes} - {""}
                self._tidy(folder)
        return settled

    # Inside

    def _settle(self, video_id: str, suffixes: set[str], folder: Path) -> int:
        video_files = self._video_files.path(video_id, MP4).parent
        if MP4 in suffixes:
            missing = () if self._video_files.has(video_id, MP4) else sorted(SUFFIXES - suffixes)
            return sum(self._move(video_id, suffix, video_files, folder) for suffix in missing)
        for suffix in suffixes:
            if self._video_files.has(video_id, MP4) and not self._video_files.has(video_id, suffix):
                self._move(video_id, suffix, folder, video_files)
            else:
                (folder / f"{video_id}{suffix}").unlink()
        return len(suffixes)

    def _move(self, video_id: str, suffix: str, source: Path, target: Path) -> bool:
        """Rename one file, if it is there."""
        name = f"{video_id}{suffix}"
        try:
            (source / name).replace(target / name)
        except FileNotFoundError:
            return False
        return True

    def _erase(self, video_id: str, folder: Path) -> None:
        for suffix in (MP4, SIDECAR, POSTER, ANIMATION):
            (folder / f"{video_id}{suffix}").unlink(missing_ok=True)
            reach(f"erase:{suffix.split('.')[1]}")
        sync_folder(folder)

    def _tidy(self, folder: Path) -> None:
        """Remove an empty folder."""
        with suppress(OSError):
            folder.rmdir()

    def _folder_of(self, video_id: str) -> Path | None:
        name = self._video_files.path(video_id, MP4).name  # raises NotFound for a text that is no id
        return next((folder for folder in self._folders() if (folder / name).is_file()), None)

    def _folders(self) -> list[Path]:
        """The folders of the deletions, the last one first; symbolic links are not followed."""
        try:
            with os.scandir(self.root) as entries:
                found = [Path(e.path) for e in entries if e.is_dir(follow_symlinks=False) and _is_moment(e.name)]
        except FileNotFoundError:
            return []
        return sorted(found, reverse=True)


def _is_moment(name: str) -> bool:
    if not _MOMENT.fullmatch(name):
        return False
    try:
        datetime.strptime(name, "%Y%m%d-%H%M%S")
    except ValueError:
        return False
    return True
