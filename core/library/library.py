"""The library: videos kept as plain files, found again through an index that may be thrown away.

    publish: poster, animation → sidecar → MP4 (from here on the video exists) → index row
    change:  sidecar → index row
    delete:  index row → MP4 (from here on the video is gone) → sidecar → poster, animation

Each file is written beside its place, forced to the disk and renamed. A crash anywhere leaves a video whole or
absent; what else is left is cleared away when the library is opened again (core/library/recovery.py).
"""

import hashlib
import threading
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from core.errors import BadRequest, ClipError, DamagedVideo, NotFound, ReadOnly, StudioError
from core.faults import reach
from core.library import clip, sidecar
from core.library.check import Finding, examine
from core.library.files import (
    ANIMATION,
    MP4,
    PART,
    POSTER,
    SIDECAR,
    Shelf,
    disk_errors,
    file_sha256,
    sync_folder,
    write_file,
)
from core.library.index import Index
from core.library.query import Entry, Facets, Page, Query, facets, matching
from core.library.recovery import Report, Sweep
from core.video import Result, Video

TAG_LIMIT = 64
TAGS_LIMIT = 32
_CACHED_VIDEOS = 2048
_CACHED_ANSWERS = 32


class Library:
    """The videos of one data directory. Safe in threads; only one process at a time may hold it writable.

    Args:
        data_dir: holds `library/` and `index.json`; made when missing and writable.
        writable: False: every change raises ReadOnly, and the index file is read again when it has changed.

    Attributes:
        report: what opening had to mend; None when not writable.
    """

    def __init__(self, data_dir: Path, writable: bool) -> None:
        self.data_dir = Path(data_dir)
        self.writable = writable
        self.report: Report | None = None
        self._shelf = Shelf(self.data_dir / "library")
        self._changing = threading.RLock()
        self._videos: dict[str, tuple[int, Video]] = {}
        self._answers: dict[Query, tuple[int, Sequence[Entry], int]] = {}
        if writable:
            with disk_errors(str(self.data_dir)):
                self._shelf.root.mkdir(parents=True, exist_ok=True)
        self._index = Index(self.data_dir / "index.json", writable)
        if writable:
            self.report = Sweep(self._shelf, self._index, trust=True, mend=True).run()
        else:
            self._read_without_index()

    def close(self) -> None:
        """Write the index. The library is not to be used afterwards."""
        with self._changing:
            self._index.close()

    def flush(self) -> None:
        """Write the index now. Raises DiskFull when there is no room for it."""
        self._index.flush()

    # Finding

    def search(self, query: Query) -> Page:
        """One page of the videos that match; a page beyond the last one is the last one.

        Raises:
            BadRequest: an unknown order or a page size below 1.
        """
        if query.page_size < 1:
            raise BadRequest("page_size", f"{query.page_size} is less than 1.")
        self._refresh()
        entries, size = self._answer(replace(query, page=1, page_size=1))
        pages = max(1, -(-len(entries) // query.page_size))
        number = min(max(1, query.page), pages)
        shown = entries[(number - 1) * query.page_size : number * query.page_size]
        videos = [self._shown(entry) for entry in shown]
        damaged = tuple(video.id for video, whole in videos if not whole)
        return Page(tuple(video for video, _ in videos), len(entries), number, pages, size, damaged)

    def facets(self) -> Facets:
        """The values that occur in the library, for the filters to offer."""
        self._refresh()
        return facets(self._index.all())

    def get(self, video_id: str) -> Video:
        """One video, from its sidecar: the truth.

        Raises:
            NotFound: no such video.
            DamagedVideo: the sidecar or the MP4 is missing or unreadable.
            ReadOnly: written by a newer studio.
        """
        here = {suffix for suffix in (MP4, SIDECAR) if self._shelf.path(video_id, suffix).is_file()}
        if not here or (here == {SIDECAR} and self._index.get(video_id) is None):
            raise NotFound(f"There is no video {video_id}.")
        if MP4 not in here:
            raise DamagedVideo(f"The MP4 of {video_id} is missing. Import a copy of it, or delete the video.")
        if SIDECAR not in here:
            raise DamagedVideo(f"The sidecar of {video_id} is missing. Reindex makes it again from the MP4.")
        return self._read(video_id)

    def mp4_path(self, video_id: str) -> Path:
        """The MP4 of a video. This and its three sisters raise NotFound when there is none."""
        return self._existing(video_id, MP4)

    def sidecar_path(self, video_id: str) -> Path:
        """The sidecar of a video."""
        return self._existing(video_id, SIDECAR)

    def poster_path(self, video_id: str) -> Path:
        """The poster of a video, a WebP."""
        return self._existing(video_id, POSTER)

    def animation_path(self, video_id: str) -> Path:
        """The small moving preview of a video, a WebP."""
        return self._existing(video_id, ANIMATION)

    def verify(self, ids: Iterable[str] | None = None) -> list[Finding]:
        """Compare files with sidecars, every byte; all videos when no ids are given.

        Raises:
            NotFound: one of the ids is not a video's.
        """
        chosen = None if ids is None else set(ids)
        for video_id in chosen or ():
            if not any(self._shelf.path(video_id, suffix).is_file() for suffix in (MP4, SIDECAR)):
                raise NotFound(f"There is no video {video_id}.")
        still: AbstractContextManager = self._changing if self.writable else nullcontext()
        return list(examine(self._shelf, chosen, still, settled=self.writable))

    # Changing

    def publish(self, video: Video, mp4: bytes) -> Video:
        """Keep a video. When it returns, it survives any crash. The same video again is a success.

        Args:
            video: its result says the size and the SHA-256 of `mp4`.

        Returns:
            What the library holds now: with the tags of the copy that was there before, if one was.

        Raises:
            ClipError: the bytes are not the video, or another video has that id.
            DiskFull: no room; nothing of it is left.
            ReadOnly: this process may not write, or a newer studio has written that id.
        """
        frames = _checked(video, mp4)
        with self._writing():
            path = self._shelf.path(video.id, MP4)
            stored = self._stored(video.id)
            if path.is_file():
                kept = file_sha256(path)
                wanted = video.result.mp4_sha256
                if kept != wanted and (stored is None or stored.result.mp4_sha256 != wanted):
                    raise ClipError(f"Another video is already kept as {video.id}; nothing was changed.")
                video = stored or video
                if kept == wanted and stored is not None:
                    self._put(video)
                    return video
            try:
                self._write(video, mp4, frames)
            except StudioError:
                self._discard(video.id)
                raise
            self._put(video)
            reach("publish:index")
        return video

    def change(self, video_id: str, tags: Iterable[str] | None = None, favorite: bool | None = None) -> Video:
        """Set tags or favourite (None: as it is), in the sidecar first.

        Raises:
            BadRequest: a tag is too long, or there are too many.
            NotFound, DamagedVideo, ReadOnly, DiskFull.
        """
        wanted = None if tags is None else clean_tags(tags)
        with self._writing():
            self.get(video_id)
            path = self._shelf.path(video_id, SIDECAR)
            document = sidecar.load(path.read_bytes())  # as it is, so that keys unknown here survive
            if wanted is not None:
                document["tags"] = list(wanted)
            if favorite is not None:
                document["favorite"] = bool(favorite)
            video = sidecar.video_of(document)
            write_file(path, sidecar.dump(document), lambda: reach("change:sidecar-part"))
            reach("change:sidecar")
            self._put(video)
            reach("change:index")
        return video

    def delete(self, video_id: str) -> None:
        """Remove a video and its files. Raises NotFound, ReadOnly."""
        with self._writing():
            path = self._shelf.path(video_id, MP4)
            gone = path.with_name(path.name + PART)
            if not path.is_file() and not self._shelf.path(video_id, SIDECAR).is_file():
                raise NotFound(f"There is no video {video_id}.")
            self._index.remove(video_id)
            reach("delete:index")
            with disk_errors(str(path.parent)):
                if path.is_file():
                    path.replace(gone)  # a .part file: whatever happens now, the rest is cleared at the next start
                    sync_folder(path.parent)
                reach("delete:mp4")
                self._shelf.path(video_id, SIDECAR).unlink(missing_ok=True)
                reach("delete:sidecar")
                self._shelf.path(video_id, POSTER).unlink(missing_ok=True)
                reach("delete:poster")
                self._shelf.path(video_id, ANIMATION).unlink(missing_ok=True)
                gone.unlink(missing_ok=True)
                sync_folder(path.parent)
            self._videos.pop(video_id, None)

    def import_mp4(self, path: Path) -> Video:
        """Keep a copy of an MP4 of this or another studio, from the settings inside it, under its own id.

        A video that is already here is returned as it is; a damaged one is healed by its good copy.

        Raises:
            ClipError: not a video, not a studio's, edited since, or another video has its id.
        """
        if not self.writable:
            raise ReadOnly(_READER)
        about = clip.probe(path)
        with disk_errors(str(path.parent)):
            data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        video = sidecar.video_from_comment(about.comment, path, bytes=len(data), mp4_sha256=digest)
        result = Result(about.num_frames, about.width, about.height, about.fps, about.duration_s, len(data),
                        digest, about.codec)
        if replace(result, duration_s=video.result.duration_s) != video.result:
            raise ClipError(f"{path.name} was edited since the studio made it: its frames are not those its "
                            "settings speak of.")
        return self.publish(video, data)

    def reindex(self) -> Report:
        """Make the index again from the sidecars, and mend what opening mends. Raises ReadOnly."""
        with self._writing():
            self._videos.clear()
            return Sweep(self._shelf, self._index, trust=False, mend=True).run()

    # Inside

    def _writing(self) -> threading.RLock:
        if not self.writable:
            raise ReadOnly(_READER)
        return self._changing

    def _write(self, video: Video, mp4: bytes, frames: clip.Clip) -> None:
        """All files of a video, in the order that makes a crash harmless."""
        folder = self._shelf.path(video.id, "").parent
        if not folder.is_dir():
            with disk_errors(str(self._shelf.root)):
                folder.mkdir(parents=True, exist_ok=True)
                sync_folder(self._shelf.root)

        def write(suffix: str, data: bytes, point: str) -> None:
            part: Callable[[], None] = lambda: reach(f"{point}-part")  # noqa: E731
            write_file(self._shelf.path(video.id, suffix), data, part)
            reach(point)

        write(POSTER, clip.poster(frames.frames), "publish:poster")
        write(ANIMATION, clip.animation(frames.frames, frames.fps), "publish:animation")
        write(SIDECAR, sidecar.dump(video.document()), "publish:sidecar")
        write(MP4, mp4, "publish:mp4")

    def _put(self, video: Video) -> None:
        stamp = self._shelf.path(video.id, SIDECAR).stat().st_mtime_ns
        self._index.put(Entry.of(video, stamp))
        self._videos[video.id] = stamp, video

    def _discard(self, video_id: str) -> None:
        """After a failed publish: leave nothing, unless an older copy of the video is there."""
        if self._shelf.path(video_id, MP4).is_file():
            return
        for suffix in (SIDECAR, ANIMATION, POSTER):
            try:
                self._shelf.path(video_id, suffix).unlink(missing_ok=True)
            except OSError:
                return  # the next start clears it away

    def _stored(self, video_id: str) -> Video | None:
        """What the sidecar says, None when there is no readable one. Raises ReadOnly when it is newer."""
        try:
            return self._read(video_id)
        except (NotFound, DamagedVideo):
            return None

    def _read(self, video_id: str) -> Video:
        path = self._shelf.path(video_id, SIDECAR)
        try:
            video = sidecar.video_of(sidecar.load(path.read_bytes()))
        except FileNotFoundError as error:
            raise NotFound(f"There is no video {video_id}.") from error
        except OSError as error:
            raise DamagedVideo(f"The sidecar of {video_id} cannot be read: {error.strerror}.") from error
        if video.id != video_id:
            raise DamagedVideo(f"The sidecar of {video_id} is that of another video, {video.id}.")
        return video

    def _existing(self, video_id: str, suffix: str) -> Path:
        path = self._shelf.path(video_id, suffix)
        if not path.is_file():
            raise NotFound(f"There is no file {path.name} in the library.")
        return path

    def _refresh(self) -> None:
        if not self.writable and self._index.refresh():
            self._read_without_index()

    def _read_without_index(self) -> None:
        """A reader's way out when there is no index to read: look at the sidecars themselves."""
        if self._index.problem:
            Sweep(self._shelf, self._index, trust=True, mend=False).run()

    def _answer(self, query: Query) -> tuple[Sequence[Entry], int]:
        """All entries that match and the bytes of their MP4s, remembered until the index changes."""
        generation = self._index.generation
        known = self._answers.get(query)
        if known is not None and known[0] == generation:
            return known[1], known[2]
        entries = matching(self._index.all(), query)
        size = sum(entry.bytes for entry in entries)
        if len(self._answers) >= _CACHED_ANSWERS:
            self._answers = {}
        self._answers[query] = generation, entries, size
        return entries, size

    def _shown(self, entry: Entry) -> tuple[Video, bool]:
        """The video of a row, and whether its files are there: else what the row knows of it."""
        whole = self._shelf.path(entry.id, MP4).is_file()
        stamp, video = self._videos.get(entry.id, (None, None))
        if video is None or stamp != entry.sidecar_ns:
            try:
                video = self._read(entry.id)
            except (NotFound, DamagedVideo, ReadOnly):
                return entry.video(), False
            if len(self._videos) >= _CACHED_VIDEOS:
                self._videos = {}
            self._videos[entry.id] = entry.sidecar_ns, video
        return video, whole


_READER = "Another studio owns this library; this one can read it and submit jobs, but not change it."


def clean_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Tags as they are kept: white space made single, empty and repeated ones gone, the order as given.

    Raises:
        BadRequest: a tag is longer than 64 characters or holds what cannot be stored, or there are over 32.
    """
    found: dict[str, None] = {}
    for tag in tags:
        if not isinstance(tag, str):
            raise BadRequest("tags", f"{tag!r:.40} is not text.")
        clean = " ".join(tag.split())
        if len(clean) > TAG_LIMIT:
            raise BadRequest("tags", f"{clean[:20]!r}… has {len(clean)} characters; at most {TAG_LIMIT}.")
        if any(unicodedata.category(character) in ("Cc", "Cs") for character in clean):
            raise BadRequest("tags", f"{clean!r:.40} holds a control character; remove it.")
        if clean:
            found[clean] = None
    if len(found) > TAGS_LIMIT:
        raise BadRequest("tags", f"{len(found)} tags are too many; at most {TAGS_LIMIT}.")
    return tuple(found)


def _checked(video: Video, mp4: bytes) -> clip.Clip:
    """The decoded clip, after making sure that the bytes are what the video's result says."""
    if hashlib.sha256(mp4).hexdigest() != video.result.mp4_sha256 or len(mp4) != video.result.bytes:
        raise ClipError(f"The bytes of {video.id} are not those its result speaks of; it was not kept.")
    decoded = clip.read(mp4)
    count, height, width, _ = decoded.frames.shape
    said = video.result.num_frames, video.result.height, video.result.width, video.result.fps
    if (count, height, width, decoded.fps) != said:
        raise ClipError(f"The MP4 of {video.id} has other frames than its result says; it was not kept.")
    return decoded
