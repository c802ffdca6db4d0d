"""Where the files of a video lie, and how a file is written so that a crash leaves the old one or the new one.

`data_dir/library/2026-11/<id>.mp4 .json .poster.webp .animation.webp`. The month is the id's. Only `Shelf`
joins ids to paths, and it refuses what does not have the form of an id.
"""

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import DiskFull, NotFound, ReadOnly, StudioError
from core.video import is_id

MP4, SIDECAR, POSTER, ANIMATION, PART = ".mp4", ".json", ".poster.webp", ".animation.webp", ".part"
SUFFIXES = (MP4, SIDECAR, POSTER, ANIMATION)

_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextmanager
def disk_errors(where: str) -> Iterator[None]:
    """Turn what the operating system says about the disk into a sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFull(f"There is no room left in {where}; free some space and try again.") from error
        if error.errno in _FORBIDDEN:
            raise ReadOnly(f"The studio may not write into {where}: {error.strerror}.") from error
        raise StudioError(f"Writing into {where} failed: {error.strerror or error}.") from error


def write_file(path: Path, data: bytes, on_part: Callable[[], None] = lambda: None) -> None:
    """Put `data` under its final name, whole and on the disk, or not at all.

    Args:
        on_part: called when the data is on the disk but not yet under its name.

    Raises:
        DiskFull, ReadOnly, StudioError: the disk said no; nothing new is left.
    """
    part = path.with_name(path.name + PART)
    with disk_errors(str(path.parent)):
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            on_part()
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames and removals in `folder` durable; Windows does this by itself and opens no folders."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass
class Folder:
    """A month: which files each video has there, and the files of interrupted writes."""

    videos: dict[str, set[str]] = field(default_factory=dict)
    parts: list[Path] = field(default_factory=list)

    @property
    def unfinished(self) -> set[str]:
        """The names the interrupted writes were for."""
        return {part.name.removesuffix(PART) for part in self.parts}


class Shelf:
    """The folder of the videos. All its methods are safe in any process; it keeps no state."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, video_id: str, suffix: str) -> Path:
        """Where that file of that video lies or would lie.

        Raises:
            NotFound: `video_id` is not an id.
        """
        if not isinstance(video_id, str) or not is_id(video_id):
            raise NotFound(f"{str(video_id)[:80]!r} is not the id of a video.")
        return self.root / f"{video_id[:4]}-{video_id[4:6]}" / f"{video_id}{suffix}"

    def folder(self, path: Path) -> "Folder":
        """What lies in one month's folder. Names the library does not give are passed over."""
        found = Folder()
        with os.scandir(path) as entries:
            for entry in entries:
                video_id, dot, rest = entry.name.partition(".")
                if entry.name.endswith(PART):
                    found.parts.append(Path(entry.path))
                elif dot + rest in SUFFIXES and is_id(video_id) and self.path(video_id, "").parent == path:
                    found.videos.setdefault(video_id, set()).add(dot + rest)
        return found

    def folders(self) -> list[Path]:
        """The month folders, oldest first; symbolic links are not followed."""
        if not self.root.is_dir():
            return []
        with os.scandir(self.root) as entries:
            return sorted(Path(e.path) for e in entries if e.is_dir(follow_symlinks=False))
