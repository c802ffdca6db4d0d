"""The library: videos stored as plain files, and an index that can be rebuilt at any time.

    publish: all as .part → poster, animation → sidecar → MP4 (from here on the video exists) → index row
    change:  sidecar → index row
    delete:  index row → MP4 (from here on the video is in the trash, or gone) → sidecar → poster, animation
    restore: animation, poster → sidecar → MP4 (from here on the video exists) → index row

Each file is written beside its place, forced to the disk and renamed. After a crash at any point a video is complete
or absent. The next opening of the library removes all other leftovers (core/library/recovery.py).
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

from core.domain.video import Video
from core.errors import NewerLibrary, ReadOnly
from core.faults import reach
from core.library import incoming, sidecar
from core.library.atomic_files import disk_errors
from core.library.deleting import Deleting
from core.library.incoming import HERE, ImportResult, Incoming
from core.library.intake import keep
from core.library.recovery import OpeningReport, Sweep
from core.library.search.catalogue import Catalogue
from core.library.search.entry import Entry
from core.library.search.facets import Facets
from core.library.search.index import Index
from core.library.search.query import Page, Query
from core.library.storage.derived_files import DerivedFiles
from core.library.storage.newer_video import glimpse
from core.library.storage.trash import Trash
from core.library.storage.video_files import ANIMATION, MP4, POSTER, SIDECAR, VideoFiles
from core.library.tags import clean_tags
from core.library.verification import Finding, examine, whole

_READER = "Another studio owns this library; this one can read it and submit jobs, but not change it."


class Library:
    """The videos of one data directory. Safe in threads; only one process at a time may hold it writable.

    Args:
        data_dir: holds `library/` and `index.json`; created if missing and writable.
        writable: False: every change raises ReadOnly, and a changed index file is read again. True: raises
            NewerLibrary if a newer studio wrote the library.
        trash_days: how many days a deleted video stays in the trash; 0: it is removed at once.

    Attributes:
        report: the repairs of the opening; None when not writable.
        trash: the deleted videos, for reading; deleting: deletes, restores and erases videos.
    """

    def __init__(self, data_dir: Path, writable: bool, trash_days: int = 30) -> None:
        self.data_dir = Path(data_dir)
        self.writable = writable
        self.report: OpeningReport | None = None
        self._video_files = VideoFiles(self.data_dir / "library")
        self.trash = Trash(self._video_files)
        self.deleting = Deleting(self._video_files, self.trash, DerivedFiles(self.data_dir / "derived"), trash_days,
                                 self._change, lambda: self._catalogue)
        self._changing = threading.RLock()
        if writable:
            with disk_errors(str(self.data_dir)):
                self._video_files.root.mkdir(parents=True, exist_ok=True)
        self._index = Index(self.data_dir / "index.json", writable)
        if writable and self.newer:
            raise NewerLibrary(self.newer)
        self._catalogue = Catalogue(self._index, self._video_files)
        if writable:
            self.report = Sweep(self._video_files, self._index, trust=True, mend=True).run()
        else:
            self._read_without_index()

    @property
    def newer(self) -> str:
        """The reason that forbids every change, as a sentence, if a newer studio wrote this library; else empty."""
        return self._index.newer

    def flush(self) -> None:
        """Write the changes of the index to its file now. Raises DiskFull, ReadOnly, StudioError."""
        self._index.flush()

    def close(self) -> None:
        """Write the index. The library must not be used after this call."""
        with self._changing:
            self._index.close()

    # Finding

    def search(self, query: Query) -> Page:
        """One page of the videos that match. Raises BadRequest: an unknown order, a page size below 1."""
        self._refresh()
        return self._catalogue.search(query)

    def entries(self) -> Sequence[Entry]:
        """The index rows of all videos, newest first."""
        self._refresh()
        return self._index.all()

    def known(self, video_id: str) -> Entry | None:
        """The index row of a video, also if its files are missing or damaged."""
        self._refresh()
        return self._index.get(video_id)

    def has(self, video_id: str) -> bool:
        """Whether the MP4 or the sidecar of that id is here."""
        return self._video_files.has(video_id, MP4) or self.has_sidecar(video_id)

    def has_sidecar(self, video_id: str) -> bool:
        """Whether its sidecar is here, also a damaged one."""
        return self._video_files.has(video_id, SIDECAR)

    def found(self, query: Query) -> dict[str, int]:
        """The ids of all videos that match, in order, each with the size of its MP4 in bytes."""
        self._refresh()
        return self._catalogue.found(query)

    def facets(self) -> Facets:
        """The values that occur in the library, for the filters."""
        self._refresh()
        return self._catalogue.facets()

    def made_from(self, video_id: str) -> tuple[str, ...]:
        """The ids of the videos made from this one, newest first. This one may be gone."""
        self._refresh()
        return self._catalogue.made_from(video_id)

    def get(self, video_id: str) -> Video:
        """One video, read from its sidecar, not from the index.

        Raises NotFound; DamagedVideo: a file is missing, unreadable or cut; ReadOnly: a newer studio wrote it.
        """
        return whole(self._video_files, self.trash, video_id, self._index.get(video_id) is not None)

    def glimpse(self, video_id: str) -> Video | None:
        """The readable part of a video that a newer studio wrote; None if its MP4 or sidecar is unreadable."""
        return glimpse(self._video_files, video_id)

    def mp4_path(self, video_id: str) -> Path:
        """The MP4 of a video. This method and the next three raise NotFound if there is no such file."""
        return self._video_files.existing(video_id, MP4)

    def sidecar_path(self, video_id: str) -> Path:
        """The sidecar of a video."""
        return self._video_files.existing(video_id, SIDECAR)

    def poster_path(self, video_id: str) -> Path:
        """The poster of a video, a WebP."""
        return self._video_files.existing(video_id, POSTER)

    def animation_path(self, video_id: str) -> Path:
        """The small moving preview of a video, a WebP."""
        return self._video_files.existing(video_id, ANIMATION)

    def verify(self, ids: Iterable[str] | None = None) -> list[Finding]:
        """Compare every byte of the files with the sidecars; without ids, of all videos. Raises NotFound."""
        still: AbstractContextManager[Any] = self._changing if self.writable else nullcontext()
        return list(examine(self._video_files, None if ids is None else set(ids), still, settled=self.writable))

    # Changing

    def publish(self, video: Video, mp4: bytes) -> Video:
        """Store a video. When this returns, the video survives any crash. The same video again is a success.

        Args:
            video: its result gives the size and the SHA-256 of `mp4`.

        Returns: the stored video; it has the tags of the earlier copy, if there was one.

        Raises:
            ClipError: the bytes do not match the video, or another video has that id.
            DiskFull: no room; no part of it remains.
            ReadOnly: this process may not write, or a newer studio has written that id.
        """
        self._may_change()
        return self._keep(Incoming(video, mp4, incoming.checked(video, mp4))).video

    def change(self, video_id: str, tags: Iterable[str] | None = None, favorite: bool | None = None,
               add: Iterable[str] = (), remove: Iterable[str] = ()) -> Video:
        """Set tags or favourite (None: no change), or `add` and `remove` single tags. The sidecar is written first.

        Raises:
            BadRequest: a tag is too long, or there are too many.
            NotFound, DamagedVideo, ReadOnly, DiskFull.
        """
        wanted, gone = None if tags is None else clean_tags(tags), set(clean_tags(remove))
        with self._change():
            before = self.get(video_id)
            if add or gone:
                there = before.tags if wanted is None else wanted
                wanted = clean_tags([*(tag for tag in there if tag not in gone), *add])
            document = sidecar.load(self._video_files.path(video_id, SIDECAR).read_bytes())  # keeps unknown keys
            if wanted is not None:
                document["tags"] = list(wanted)
            if favorite is not None:
                document["favorite"] = bool(favorite)
            video = sidecar.video_of(document)
            if video == before:
                return before
            self._video_files.write_sidecar(video_id, sidecar.dump(document))
            self._catalogue.put(video)
            reach("change:index")
        return video

    def delete(self, video_id: str, moment: datetime | None = None) -> bool:
        """Move a video into the trash, or remove it if there is no trash; see `Deleting.delete`."""
        return self.deleting.delete(video_id, moment)

    def import_mp4(self, path: Path, name: str = "", unknown: bool = False, owner: str = "") -> ImportResult:
        """Store a copy of an MP4 of this or another studio, by the settings inside it, under its own id.

        A video that is already here is returned unchanged. A good copy replaces a damaged one.

        Args:
            name: the name of the file for the person; empty: the name of `path`.
            unknown: also store a file without settings for its frames, as a video without a recipe, of `owner`.

        Raises:
            Foreign: not from a studio, or edited since.
            ClipError: not a video, or another video has its id.
        """
        self._may_change()
        return self._keep(incoming.from_outside(path, name, unknown, owner))

    def _keep(self, coming: Incoming) -> ImportResult:
        with self._changing:
            return keep(coming, self._video_files, self._index, self._catalogue)

    def merge(self, path: Path, beside: Path | None = None, twin: str | None = None,
              unknown: bool = False) -> ImportResult:
        """Import a video of another library. Tags are joined; if either is a favourite, the result is one.

        Args:
            path, beside: its MP4 and its sidecar; without a sidecar the settings inside the MP4 count.
            twin: id of a video here with the same frames; that video only gets the tags and the favourite.
            unknown: as in `import_mp4`, if there is no sidecar.

        Raises:
            BadRequest: together they have too many tags. Otherwise like `import_mp4`.
        """
        if beside is None:
            return self.import_mp4(path, unknown=unknown)
        self._may_change()
        coming = incoming.from_beside(path, beside)
        with self._changing:
            kept = self._keep(coming) if twin is None else ImportResult(self.get(twin), HERE)
            tags = clean_tags((*kept.video.tags, *coming.video.tags))
            favorite = kept.video.favorite or coming.video.favorite
            if (tags, favorite) == (kept.video.tags, kept.video.favorite):
                return kept
            return ImportResult(self.change(kept.video.id, tags, favorite), kept.outcome)

    def reindex(self) -> OpeningReport:
        """Rebuild the index from the sidecars, with the repairs of an opening. Raises ReadOnly."""
        with self._change():
            self._catalogue = Catalogue(self._index, self._video_files)
            return Sweep(self._video_files, self._index, trust=False, mend=True).run()

    def together(self) -> AbstractContextManager[None]:
        """A context for many changes: the index file is written in the background, not after each change."""
        return self._index.together()

    # Inside

    @contextmanager
    def _change(self) -> Iterator[None]:
        self._may_change()
        with self._changing:
            yield

    def _may_change(self) -> None:
        if self.newer:
            raise NewerLibrary(self.newer)
        if not self.writable:
            raise ReadOnly(_READER)

    def _refresh(self) -> None:
        if self._index.refresh():
            self._read_without_index()

    def _read_without_index(self) -> None:
        """For a reader without a usable index: read the sidecars themselves."""
        if self._index.problem:
            Sweep(self._video_files, self._index, trust=True, mend=False).run()
