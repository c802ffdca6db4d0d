"""The paths of a video's files, and the order in which they are written and removed.

`data_dir/library/2026-11/<id>.mp4 .json .poster.webp .animation.webp`. The id contains the month. Only
`VideoFiles` joins ids to paths, and it refuses a text that does not have the form of an id.

    write:   all four as .part → poster, animation → sidecar → MP4 (from here on the video exists)
    remove:  MP4 (from here on the video is gone) → sidecar → poster, animation
"""

import os
import re
import stat
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

from core.domain.video import Video, is_id
from core.errors import DamagedVideo, NotFound, ReadOnly, StudioError
from core.faults import reach
from core.library import sidecar
from core.library.atomic_files import PART, disk_errors, part_of, sync_folder, write_file, write_parts
from core.library.media import clip, posters

MP4, SIDECAR, POSTER, ANIMATION = ".mp4", ".json", ".poster.webp", ".animation.webp"
SUFFIXES = frozenset((MP4, SIDECAR, POSTER, ANIMATION))
LOST = "lost"  # a folder beside the months: sidecars whose MP4 disappeared
_ID_LENGTH = len("20261122-081301-a1b2c3")
_START, _KIND = itemgetter(slice(_ID_LENGTH)), itemgetter(slice(_ID_LENGTH, None))


@dataclass(frozen=True)
class Folder:
    """The files of one month: ids for each kind of file, time stamps of sidecars, leftovers of interrupted writes.

    Attributes:
        having: for each suffix, the ids of the videos that have such a file.
        stamps: for each id, the `VideoFiles.stamp` of its sidecar.
        parts: the leftovers.
    """

    having: dict[str, set[str]]
    stamps: dict[str, int]
    parts: tuple[Path, ...]

    @property
    def whole(self) -> set[str]:
        """The ids of the videos with both MP4 and sidecar."""
        return self.having[MP4] & self.having[SIDECAR]

    @property
    def unfinished(self) -> set[str]:
        """The final names of the interrupted writes."""
        return {part.name.removesuffix(PART) for part in self.parts}


@dataclass(frozen=True)
class VideoState:
    """The files of one video at one moment.

    Attributes:
        mp4: path of its MP4, None without one; bytes: size of its MP4, -1 without one.
        has_sidecar: whether there is a sidecar, also a damaged one.
        video: the video of the sidecar; None without one, and if it is unreadable here.
        unreadable: the reason: DamagedVideo, or ReadOnly (a newer studio wrote it); else None.
        lost: the video of the sidecar that was moved to `lost` when the MP4 disappeared, or None.
    """

    mp4: Path | None
    bytes: int
    has_sidecar: bool
    video: Video | None
    unreadable: DamagedVideo | ReadOnly | None
    lost: Video | None


class VideoFiles:
    """The folder of the videos. All its methods are safe in any process; it holds no state."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._root = str(root)

    def path(self, video_id: str, suffix: str) -> Path:
        """The path of that file of that video; the file may not exist.

        Raises:
            NotFound: `video_id` is not an id.
        """
        return Path(self._at(video_id, suffix))

    def _at(self, video_id: str, suffix: str) -> str:
        """`path` as text, for frequent calls: a new Path takes longer than the disk access."""
        if not isinstance(video_id, str) or not is_id(video_id):
            raise NotFound(f"{str(video_id)[:80]!r} is not the id of a video.")
        return f"{self._root}{os.sep}{_month(video_id)}{os.sep}{video_id}{suffix}"

    def folder(self, path: Path) -> "Folder":
        """The content of one month's folder. Names of other programs are skipped.

        A hundred thousand videos have four times as many names, so there is a quick way for a folder without gaps.
        If there are only the four kinds, and four names for each id, then every id has all four files.
        """
        names = os.listdir(path)  # noqa: PTH208
        known, kinds = set(map(_START, names)), set(map(_KIND, names))
        parts = []
        if kinds == SUFFIXES and len(names) == len(SUFFIXES) * len(known):
            having = dict.fromkeys(SUFFIXES, known)
        else:
            by_kind: dict[str, set[str]] = {suffix: set() for suffix in SUFFIXES}
            for name in names:
                by_kind.setdefault(_KIND(name), set()).add(_START(name))
            having = {suffix: by_kind.pop(suffix) for suffix in SUFFIXES}
            others = (f"{start}{kind}" for kind, starts in by_kind.items() for start in starts)
            parts = [path / name for name in others if name.endswith(PART)]
        strange = _strange(set().union(*having.values()), path.name.replace("-", ""))
        if strange:
            having = {suffix: found - strange for suffix, found in having.items()}
        stamps = {}
        for video_id in having[SIDECAR]:
            try:
                stamps[video_id] = os.stat(f"{path}{os.sep}{video_id}{SIDECAR}").st_mtime_ns  # noqa: PTH116
            except FileNotFoundError:
                continue  # deleted during this call
        having[SIDECAR] = having[SIDECAR] & stamps.keys()
        return Folder(having, stamps, tuple(parts))

    def folders(self) -> list[Path]:
        """The month folders, oldest first; symbolic links are not followed."""
        if not self.root.is_dir():
            return []
        with os.scandir(self.root) as entries:
            return sorted(Path(e.path) for e in entries if e.is_dir(follow_symlinks=False))

    def has(self, video_id: str, suffix: str) -> bool:
        """Whether that file of that video is there."""
        return self.path(video_id, suffix).is_file()

    def size(self, video_id: str) -> int:
        """How many bytes its MP4 has; -1 without one."""
        try:
            about = os.stat(self._at(video_id, MP4))  # noqa: PTH116
        except OSError:
            return -1
        return about.st_size if stat.S_ISREG(about.st_mode) else -1

    def existing(self, video_id: str, suffix: str) -> Path:
        """Like `path`, but raises NotFound also if there is no such file."""
        path = self.path(video_id, suffix)
        if not path.is_file():
            raise NotFound(f"There is no file {path.name} in the library.")
        return path

    def read(self, video_id: str) -> Video:
        """The video that its sidecar describes.

        Raises:
            NotFound: there is no sidecar.
            DamagedVideo: it cannot be read, or is another video's.
            ReadOnly: a newer studio wrote it.
        """
        path = self.path(video_id, SIDECAR)
        try:
            video = sidecar.video_of(sidecar.load(path.read_bytes()))
        except FileNotFoundError as error:
            raise NotFound(f"There is no video {video_id}.") from error
        except OSError as error:
            raise DamagedVideo(f"The sidecar of {video_id} cannot be read: {error.strerror}.") from error
        if video.id != video_id:
            raise DamagedVideo(f"The sidecar of {video_id} is that of another video, {video.id}.")
        return video

    def state_of(self, video_id: str) -> VideoState:
        """Everything that the folder holds of a video, in one value. Raises NotFound: not an id."""
        path, size = self.path(video_id, MP4), self.size(video_id)
        video, unreadable, has_sidecar = None, None, True
        try:
            video = self.read(video_id)
        except NotFound:
            has_sidecar = False
        except (DamagedVideo, ReadOnly) as error:
            unreadable = error
        return VideoState(path if size >= 0 else None, size, has_sidecar, video, unreadable, self._lost(video_id))

    def _lost(self, video_id: str) -> Video | None:
        try:
            kept = sidecar.video_of(sidecar.load((self.root / LOST / f"{video_id}{SIDECAR}").read_bytes()))
        except (OSError, StudioError):
            return None
        return kept if kept.id == video_id else None

    def stamp(self, video_id: str) -> int:
        """The time of the last write of the sidecar, in nanoseconds, from the file system."""
        return os.stat(self._at(video_id, SIDECAR)).st_mtime_ns  # noqa: PTH116

    def stamp_and_size(self, video_id: str) -> tuple[int, int]:
        """`stamp` and `size` of a video together; raises OSError without a sidecar."""
        start = self._at(video_id, "")
        stamp = os.stat(start + SIDECAR).st_mtime_ns  # noqa: PTH116
        try:
            return stamp, os.stat(start + MP4).st_size  # noqa: PTH116
        except OSError:
            return stamp, -1

    def write(self, video: Video, mp4: bytes, decoded: clip.Clip) -> None:
        """Write all files of a video, in the order that makes a crash harmless.

        All contents are on the disk before the first file gets its name. All names become durable together. If after
        a power cut only the MP4 has its name, the next opening rebuilds the sidecar from inside the MP4.

        Raises:
            DiskFull, ReadOnly, StudioError: the disk refused. No new file remains, unless the MP4 was there before.
        """
        folder = self.path(video.id, "").parent
        with disk_errors(str(self.root)):
            if not folder.is_dir():
                folder.mkdir(parents=True, exist_ok=True)
                sync_folder(self.root)
        contents = {POSTER: posters.poster(decoded.frames),
                    ANIMATION: posters.animation(decoded.frames, decoded.fps),
                    SIDECAR: sidecar.dump(video.document()), MP4: mp4}
        try:
            write_parts({self.path(video.id, suffix): content for suffix, content in contents.items()})
            reach("publish:parts")
            with disk_errors(str(folder)):
                for suffix in contents:  # the MP4 last: until then its part shows that it is unfinished, not lost
                    path = self.path(video.id, suffix)
                    part_of(path).replace(path)
                    reach(f"publish:{suffix.split('.')[1]}")
                sync_folder(folder)
            with disk_errors(str(self.root / LOST)):
                (self.root / LOST / f"{video.id}{SIDECAR}").unlink(missing_ok=True)
        except StudioError:
            self._discard(video.id)
            raise

    def write_sidecar(self, video_id: str, data: bytes) -> None:
        """Replace a sidecar. Raises DiskFull, ReadOnly, StudioError: the old one remains."""
        write_file(self.path(video_id, SIDECAR), data, lambda: reach("change:sidecar-part"))
        reach("change:sidecar")

    def remove(self, video_id: str) -> None:
        """Remove all files of a video. Raises ReadOnly, StudioError: the disk refused."""
        path = self.path(video_id, MP4)
        gone = part_of(path)  # after a crash from here on, the next start removes the other files
        with disk_errors(str(path.parent)):
            if path.is_file():
                path.replace(gone)
                sync_folder(path.parent)
            reach("delete:mp4")
            self.path(video_id, SIDECAR).unlink(missing_ok=True)
            reach("delete:sidecar")
            self.path(video_id, POSTER).unlink(missing_ok=True)
            reach("delete:poster")
            self.path(video_id, ANIMATION).unlink(missing_ok=True)
            gone.unlink(missing_ok=True)
            sync_folder(path.parent)

    def set_aside(self, video_id: str) -> None:
        """Move the sidecar of a video without MP4 to `lost`, and remove its pictures."""
        path, aside = self.path(video_id, SIDECAR), self.root / LOST
        with disk_errors(str(self.root)):
            if path.is_file():
                aside.mkdir(exist_ok=True)
                path.replace(aside / path.name)
            self.path(video_id, POSTER).unlink(missing_ok=True)
            self.path(video_id, ANIMATION).unlink(missing_ok=True)

    def _discard(self, video_id: str) -> None:
        """Remove the files of a failed write. The next start removes those that cannot be removed now."""
        kept = self.has(video_id, MP4)
        try:
            for suffix in SUFFIXES:
                part_of(self.path(video_id, suffix)).unlink(missing_ok=True)
                if not kept:
                    self.path(video_id, suffix).unlink(missing_ok=True)
        except OSError:
            return


def named(name: str) -> tuple[str, str]:
    """The id and the suffix of a file's name; two empty texts for a name of another program."""
    video_id, suffix = name[:_ID_LENGTH], name[_ID_LENGTH:]
    return (video_id, suffix) if suffix in SUFFIXES and is_id(video_id) else ("", "")


def _month(video_id: str) -> str:
    return f"{video_id[:4]}-{video_id[4:6]}"


def _strange(names: set[str], month: str) -> set[str]:
    """The names that are no ids of that month. Usually there are none, so one match checks all names first."""
    ids = rf"(?:{re.escape(month)}[0-9]{{2}}-[0-9]{{6}}-[0-9a-f]{{6}}\n)*"
    if re.fullmatch(ids, "".join(f"{name}\n" for name in names)):
        return set()
    return {name for name in names if not is_id(name) or not name.startswith(month)}
