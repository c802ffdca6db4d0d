"""Deletes videos of a library and brings them back: index and files together."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime

from core.domain.video import Video
from core.errors import NotFound, ReadOnly
from core.faults import reach
from core.library.search.catalogue import Catalogue
from core.library.storage.derived_files import DerivedFiles
from core.library.storage.trash import Trash
from core.library.storage.video_files import VideoFiles


class Deleting:
    """What can be deleted from `video_files`, and brought back from `trash`.

    Args:
        derived: what was made from them; it goes when a video goes for good.
        changing: entered for each change; raises ReadOnly where nothing may be changed.
        catalogue: what the library knows of its videos.
        days: how long a deleted video stays in the trash; 0: it is removed at once.
    """

    def __init__(self, video_files: VideoFiles, trash: Trash, derived: DerivedFiles, days: int,
                 changing: Callable[[], AbstractContextManager[None]], catalogue: Callable[[], Catalogue]) -> None:
        self.days = days
        self._video_files = video_files
        self._trash = trash
        self._derived = derived
        self._changing = changing
        self._catalogue = catalogue

    def delete(self, video_id: str, moment: datetime | None = None) -> bool:
        """Move a video into the trash, or remove it when none is kept; whether it is in the trash now.

        Of a video without MP4 the sidecar goes to `library/lost`. Raises NotFound, StudioError, ReadOnly: also
        when a newer studio wrote it, whose other files this one does not know.

        Args:
            moment: of the deletion; what is deleted together has the same.
        """
        with self._changing():
            here = self._video_files.state_of(video_id)
            if here.mp4 is None and not here.has_sidecar:
                where = " It is in the trash." if self._trash.has(video_id) else ""
                raise NotFound(f"There is no video {video_id}.{where}")
            if isinstance(here.unreadable, ReadOnly):
                raise here.unreadable
            self._catalogue().remove(video_id)
            if not self.days:
                reach("delete:index")
                self._derived.forget((video_id,))
                self._video_files.remove(video_id)
            elif here.mp4 is not None:
                reach("trash:index")
                self._trash.put(video_id, moment or datetime.now(UTC))
                return True
            else:
                self._video_files.set_aside(video_id)
        return False

    def restore(self, video_id: str) -> Video:
        """Bring a video back from the trash with all it had; one that is in the library is returned as it is.

        Raises:
            NotFound: it is in neither. ReadOnly. StudioError: a copy of it is in both.
        """
        with self._changing():
            if self._trash.has(video_id):
                self._trash.restore(video_id)
                self._catalogue().put(self._video_files.read(video_id))
                reach("restore:index")
            return self._video_files.read(video_id)

    def erase(self, video_id: str) -> None:
        """Remove a video from the trash for good. Raises NotFound, ReadOnly, StudioError."""
        with self._changing():
            self._erase((video_id,))

    def expire(self, limit: int, now: datetime | None = None) -> int:
        """Remove from the trash what has lain there for `days` days, at most `limit` videos; how many."""
        with self._changing():
            due = self._trash.due(self.days, now or datetime.now(UTC), limit)
            self._erase(due)
        return len(due)

    def _erase(self, video_ids: Sequence[str]) -> None:
        self._derived.forget(video_ids)  # first: what a crash leaves of a video is in the trash, and goes later
        for video_id in video_ids:
            self._trash.erase(video_id)
