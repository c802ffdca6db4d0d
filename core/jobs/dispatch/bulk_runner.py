"""Does bulk actions in small pieces: jobs, single changes and pages never wait for a large one."""

import time

from core.errors import DiskFull, StudioError
from core.faults import reach
from core.jobs.queue.bulk_queue import BulkAction, BulkQueue
from core.library.changes import read_change
from core.library.library import Library

PIECE_S = 0.1


class BulkRunner:
    """Does the bulk actions of a ledger to the library it owns. For one thread.

    Args:
        others_read: another process reads the library's index from its file. So the file is written before a
            bulk action counts as done.
    """

    def __init__(self, bulks: BulkQueue, library: Library, others_read: bool = False) -> None:
        self._bulk_queue = bulks
        self._library = library
        self._others_read = others_read
        self._videos: tuple[int, list[str]] = (0, [])

    def tick(self, seconds: float = PIECE_S) -> bool:
        """Do a piece of the oldest bulk action: at least one video, no new one after `seconds`. Whether there was one.

        Raises:
            DiskFull: there is no room to continue; the finished part is noted.
        """
        waiting = self._bulk_queue.unfinished()
        if not waiting:
            return False
        bulk = waiting[0]
        if bulk.stop_requested:
            self._bulk_queue.end(bulk.id)
            return True
        if self._videos[0] != bulk.id:
            self._videos = bulk.id, self._bulk_queue.videos(bulk.id)
        done, refused = bulk.done, []
        until = time.monotonic() + seconds
        try:
            with self._library.together():
                for video_id in self._videos[1][bulk.done:]:
                    try:
                        self._do(bulk, video_id)
                    except DiskFull:
                        raise
                    except StudioError as error:
                        refused.append((video_id, str(error)))
                    done += 1
                    if time.monotonic() >= until:
                        break
            if self._others_read and done >= bulk.total:
                self._library.flush()
        finally:
            self._bulk_queue.note(bulk, done, refused)
        reach("bulk:noted")
        return True

    def _do(self, bulk: BulkAction, video_id: str) -> None:
        read_change(bulk.action, {**bulk.args, "id": video_id}).asked_at(bulk.created).ensure(self._library)
        reach("bulk:video")
