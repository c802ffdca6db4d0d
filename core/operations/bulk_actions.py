"""Bulk actions, the trash, and the use of the disk."""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from core.domain.video import Video, is_id
from core.errors import BadRequest, NewerLibrary, NotFound, StudioError
from core.families.catalog import hub_repository
from core.families.registry import MODELS
from core.jobs.queue.bulk_queue import BulkAction
from core.jobs.queue.job import QUEUED, Job
from core.jobs.queue.ledger import Ledger
from core.library.changes import ChangeVideo, DeleteVideo, EraseVideo, RestoreVideo
from core.library.search.query import Query
from core.library.storage.trash import TrashPage
from core.library.storage.video_files import POSTER
from core.library.tags import clean_tags
from core.operations.disk_usage import DiskUse, disk_use
from core.operations.leadership import Leadership
from core.settings import Settings, hub_cache

PACKED = 32  # archives that are offered at a time
PATIENCE_S = 0.5


@dataclass(frozen=True)
class Queued:
    """The result of asking for many videos again: the jobs, and (id, sentence) of each refused video."""

    jobs: tuple[Job, ...]
    refused: tuple[tuple[str, str], ...]


class BulkActions:
    """The bulk actions of one studio. They are accepted here, and the process that owns the library does them."""

    def __init__(self, settings: Settings, ledger: Ledger, leadership: Leadership,
                 regenerate: Callable[[str, str], Job]) -> None:
        """`regenerate`: queues the recipe of the video with that id again, for an owner."""
        self._settings = settings
        self._ledger = ledger
        self._leadership = leadership
        self._regenerate = regenerate
        self._packed: dict[str, tuple[str, ...]] = {}

    def found(self, query: Query) -> dict[str, int]:
        """The ids of all videos that match, in order, each with the bytes of its MP4."""
        return self._leadership.library.found(query)

    def known(self, video_ids: Iterable[str]) -> dict[str, int]:
        """The ids among these that the library knows, each with the bytes of its MP4."""
        rows = (self._leadership.library.known(video_id) for video_id in video_ids)
        return {row.id: row.bytes for row in rows if row is not None}

    # Bulk actions

    def change(self, video_ids: Iterable[str], add: Iterable[str] = (), remove: Iterable[str] = (),
               favorite: bool | None = None) -> BulkAction:
        """Add and remove tags, set the favourite (None: as it is).

        Raises:
            BadRequest: nothing to do, no videos, or a tag that cannot be.
        """
        added, removed = clean_tags(add), clean_tags(remove)
        if not added and not removed and favorite is None:
            raise BadRequest("tags", "say which to add or to remove.")
        return self._begin(ChangeVideo.kind, video_ids, add=added, remove=removed, favorite=favorite)

    def delete(self, video_ids: Iterable[str]) -> BulkAction:
        """Move videos into the trash, or remove them if the trash is off. Raises BadRequest: no videos."""
        return self._begin(DeleteVideo.kind, video_ids)

    def restore(self, video_ids: Iterable[str]) -> BulkAction:
        """Bring videos back from the trash. Raises BadRequest: no videos."""
        return self._begin(RestoreVideo.kind, video_ids)

    def erase(self, video_ids: Iterable[str]) -> BulkAction:
        """Remove videos from the trash for ever. Raises BadRequest: no videos."""
        return self._begin(EraseVideo.kind, video_ids)

    def empty_trash(self) -> BulkAction:
        """Remove everything from the trash for ever. Raises BadRequest: it is empty."""
        return self.erase([each.id for each in self._leadership.library.trash.content()])

    def undo(self, bulk_id: int) -> BulkAction:
        """Restore the videos that a bulk action deleted. If it still runs, it is stopped first. Raises NotFound."""
        self.stop(bulk_id)
        bulk, videos = self.bulk(bulk_id), self._ledger.bulk_queue.videos(bulk_id)
        done = bulk.done if bulk.ended is not None else bulk.total
        trashed = self._leadership.library.trash.has  # a killed process may have deleted a few more than it noted
        return self.restore([*videos[:done], *filter(trashed, videos[done:])])

    def _begin(self, action: str, video_ids: Iterable[str], **args: object) -> BulkAction:
        if self._leadership.library.newer:
            raise NewerLibrary(self._leadership.library.newer)
        return self._worked_off(self._ledger.bulk_queue.add(action, tuple(video_ids), args))

    def _worked_off(self, bulk: BulkAction) -> BulkAction:
        """The bulk action a moment later: a small one is done before a page is drawn again."""
        self._leadership.work_off()
        until = time.monotonic() + PATIENCE_S
        while bulk.ended is None and time.monotonic() < until:
            time.sleep(0.01)
            bulk = self._ledger.bulk_queue.get(bulk.id)
        return bulk

    def bulk(self, bulk_id: int) -> BulkAction:
        """One bulk action with its progress. Raises NotFound."""
        return self._ledger.bulk_queue.get(bulk_id)

    def follow(self, bulk_id: int) -> Iterator[BulkAction]:
        """Yield the bulk action each time it changed, until it has ended. Raises NotFound."""
        last = None
        while last is None or last.ended is None:
            bulk = self._ledger.bulk_queue.get(bulk_id)
            if bulk != last:
                yield bulk
            elif bulk.ended is None:
                self._leadership.work_off()  # the process that did it may have ended
                time.sleep(0.05)
            last = bulk

    def unfinished(self) -> tuple[BulkAction, ...]:
        """The bulk actions with something left to do. They run now, unless a newer studio wrote the library."""
        waiting = self._ledger.bulk_queue.unfinished()
        if waiting:
            self._leadership.work_off()
        return waiting

    def stop(self, bulk_id: int) -> None:
        """Stop it; the finished part stays."""
        self._ledger.bulk_queue.request_stop(bulk_id)
        bulk = self._ledger.bulk_queue.get(bulk_id)
        if bulk.ended is None:
            self._worked_off(bulk)

    def regenerate(self, video_ids: Iterable[str], owner: str = "") -> Queued:
        """Queue the same recipes again, seeds included. Each video that cannot be queued is listed with the reason.

        Raises:
            BadRequest: no videos, or more than there is room for in the queue; nothing was queued.
        """
        video_ids = list(dict.fromkeys(video_ids))
        room = max(0, self._settings.max_queued - self._ledger.counts().get(QUEUED, 0))
        if not video_ids or len(video_ids) > room:
            raise BadRequest("request", f"the queue has room for {room:,} more, and {len(video_ids):,} videos "
                             "were chosen. Nothing was queued; choose fewer, or wait until some are done."
                             if video_ids else "no video was chosen.")
        jobs, refused = [], []
        for video_id in video_ids:
            try:
                jobs.append(self._regenerate(video_id, owner))
            except StudioError as error:
                refused.append((video_id, str(error)))
        return Queued(tuple(jobs), tuple(refused))

    # The trash

    def trash(self, page: int = 1, page_size: int = 24) -> TrashPage:
        """One page of the trash, latest deletion first; a page beyond the last one is the last one."""
        return self._leadership.library.trash.page(page, page_size)

    def poster_path(self, video_id: str) -> Path:
        """The poster of a video, also of one in the trash. Raises NotFound."""
        library = self._leadership.library
        try:
            return library.poster_path(video_id)
        except NotFound:
            trashed = library.trash.path(video_id, POSTER)
            if trashed is None:
                raise
            return trashed

    def disk(self) -> DiskUse:
        """The use of the disk, measured now."""
        cached = filter(None, (hub_repository(hub_cache(), spec) for spec in MODELS.values()))
        data = self._settings.data_dir
        return disk_use(data / "library", data / "derived", [self._settings.models_dir, *cached])

    def restore_one(self, video_id: str) -> Video:
        """Restore one video from the trash now. Raises NotFound, StudioError."""
        return Video.from_document(self._leadership.change(RestoreVideo(video_id)))

    def erase_one(self, video_id: str) -> None:
        """Remove one video from the trash for ever, now. Raises NotFound, StudioError."""
        self._leadership.change(EraseVideo(video_id))

    def delete_one(self, video_id: str, for_good: bool = False) -> bool:
        """Move one video into the trash, or remove it if the trash is off; whether it is in the trash now.

        Args:
            for_good: remove it for ever: from the library without the trash, or else from the trash.

        Raises:
            NotFound, StudioError.
        """
        library = self._leadership.library
        trashed = for_good and not library.has(video_id) and library.trash.has(video_id)
        trashed = trashed or self._leadership.change(DeleteVideo(video_id))["trashed"]
        if trashed and for_good:
            self.erase_one(video_id)
        return trashed and not for_good

    # Archives

    def pack(self, video_ids: Iterable[str]) -> str:
        """Offer videos as one archive, until `PACKED` others have been offered since; the name to ask for it."""
        chosen = tuple(each for each in video_ids if is_id(each))
        name = hashlib.sha256(" ".join(chosen).encode()).hexdigest()[:32]
        self._packed.pop(name, None)
        self._packed[name] = chosen
        for oldest in list(self._packed)[:-PACKED]:
            self._packed.pop(oldest, None)
        return name

    def packed(self, name: str) -> tuple[str, ...]:
        """The ids that `pack` was given. Raises NotFound."""
        try:
            return self._packed[name]
        except KeyError as error:
            raise NotFound("This archive is not offered any more. Choose its videos again.") from error
