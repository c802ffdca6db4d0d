"""The library: videos kept as plain files, found again through an index that may be thrown away.

    publish: all as .part → poster, animation → sidecar → MP4 (from here on the video exists) → index row
    change:  sidecar → index row
    delete:  index row → MP4 (from here on the video is in the trash, or gone) → sidecar → poster, animation
    restore: animation, poster → sidecar → MP4 (from here on the video exists) → index row

Each file is written beside its place, forced to the disk and renamed. A crash anywhere leaves a video whole or
absent; what else is left is cleared away when the library is opened again (core/library/recovery.py).
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
        data_dir: holds `library/` and `index.json`; made when missing and writable.
        writable: False: every change raises ReadOnly, and the index file is read again when it has changed. True
            raises NewerLibrary when a newer studio wrote it.
        trash_days: how long a deleted video stays in the trash; 0: it is removed at once.

    Attributes:
        report: what opening had to mend; None when not writable.
        trash: the deleted videos, to look at; deleting: the ways in and out of it.
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
        """Why nothing may be changed here, as a sentence, when a newer studio wrote this library; else empty."""
        return self._index.newer

    def flush(self) -> None:
        """Write what the index file lacks now, not a moment later. Raises DiskFull, ReadOnly, StudioError."""
        self._index.flush()

    def close(self) -> None:
        """Write the index. The library is not to be used afterwards."""
        with self._changing:
            self._index.close()

    # Finding

    def search(self, query: Query) -> Page:
        """One page of the videos that match. Raises BadRequest: an unknown order, a page size below 1."""
        self._refresh()
        return self._catalogue.search(query)

    def entries(self) -> Sequence[Entry]:
        """What the index knows of every video, newest first."""
        self._refresh()
        return self._index.all()

    def known(self, video_id: str) -> Entry | None:
        """What the index knows of a video, in whatever state its files are."""
        self._refresh()
        return self._index.get(video_id)

    def has(self, video_id: str) -> bool:
        """Whether anything of a video of that id is here."""
        return self._video_files.has(video_id, MP4) or self.has_sidecar(video_id)

    def has_sidecar(self, video_id: str) -> bool:
        """Whether its sidecar is here, in whatever state."""
        return self._video_files.has(video_id, SIDECAR)

    def found(self, query: Query) -> dict[str, int]:
        """The ids of all videos that match, in order, each with the bytes of its MP4."""
        self._refresh()
        return self._catalogue.found(query)

    def facets(self) -> Facets:
        """The values that occur in the library, for the filters to offer."""
        self._refresh()
        return self._catalogue.facets()

    def made_from(self, video_id: str) -> tuple[str, ...]:
        """The ids of the videos made from this one, newest first; also of one that is not here any more."""
        self._refresh()
        return self._catalogue.made_from(video_id)

    def get(self, video_id: str) -> Video:
        """One video, from its sidecar: the truth.

        Raises NotFound; DamagedVideo: a file is missing, unreadable or cut; ReadOnly: a newer studio wrote it.
        """
        return whole(self._video_files, self.trash, video_id, self._index.get(video_id) is not None)

    def glimpse(self, video_id: str) -> Video | None:
        """What can be shown of a video that a newer studio wrote; None when not even its MP4 can be read."""
        return glimpse(self._video_files, video_id)

    def mp4_path(self, video_id: str) -> Path:
        """The MP4 of a video. This and its three sisters raise NotFound when there is none."""
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
        """Compare files with sidecars, every byte; all videos when no ids are given. Raises NotFound."""
        still: AbstractContextManager[Any] = self._changing if self.writable else nullcontext()
        return list(examine(self._video_files, None if ids is None else set(ids), still, settled=self.writable))

    # Changing

    def publish(self, video: Video, mp4: bytes) -> Video:
        """Keep a video. When it returns, it survives any crash. The same video again is a success.

        Args:
            video: its result says the size and the SHA-256 of `mp4`.

        Returns: what the library holds now, with the tags of the copy that was there before, if one was.

        Raises:
            ClipError: the bytes are not the video, or another video has that id.
            DiskFull: no room; nothing of it is left.
            ReadOnly: this process may not write, or a newer studio has written that id.
        """
        self._may_change()
        return self._keep(Incoming(video, mp4, incoming.checked(video, mp4))).video

    def change(self, video_id: str, tags: Iterable[str] | None = None, favorite: bool | None = None,
               add: Iterable[str] = (), remove: Iterable[str] = ()) -> Video:
        """Set tags or favourite (None: as it is), or `add` and `remove` single tags; in the sidecar first.

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
            document = sidecar.load(self._video_files.path(video_id, SIDECAR).read_bytes())  # keys unknown here survive
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
        """Move a video into the trash, or remove it when none is kept; see `Deleting.delete`."""
        return self.deleting.delete(video_id, moment)

    def import_mp4(self, path: Path, name: str = "", unknown: bool = False, owner: str = "") -> ImportResult:
        """Keep a copy of an MP4 of this or another studio, from the settings inside it, under its own id.

        A video that is already here is returned as it is; a damaged one is healed by its good copy.

        Args:
            name: what the person calls the file; the name of `path` when empty.
            unknown: keep what has no settings of its own frames too, as a video without a recipe, of `owner`.

        Raises:
            Foreign: not a studio's, or edited since.
            ClipError: not a video, or another video has its id.
        """
        self._may_change()
        return self._keep(incoming.from_outside(path, name, unknown, owner))

    def _keep(self, coming: Incoming) -> ImportResult:
        with self._changing:
            return keep(coming, self._video_files, self._index, self._catalogue)

    def merge(self, path: Path, beside: Path | None = None, twin: str | None = None,
              unknown: bool = False) -> ImportResult:
        """Take in a video of another library. Tags are joined; a favourite of either is one.

        Args:
            path, beside: its MP4 and its sidecar; without one the settings inside the MP4 count.
            twin: id of a video here that shows the same frames: nothing is added, only tags and favourite.
            unknown: as in `import_mp4`, where there is no sidecar.

        Raises:
            BadRequest: together they would have too many tags. Else like `import_mp4`.
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
        """Make the index again from the sidecars, and mend what opening mends. Raises ReadOnly."""
        with self._change():
            self._catalogue = Catalogue(self._index, self._video_files)
            return Sweep(self._video_files, self._index, trust=False, mend=True).run()

    def together(self) -> AbstractContextManager[None]:
        """The index file is written after all the changes made inside, not after each."""
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
        """A reader's way out when there is no index to read: look at the sidecars themselves."""
        if self._index.problem:
            Sweep(self._video_files, self._index, trust=True, mend=False).run()
