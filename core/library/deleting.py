"""Deletes and restores videos of a library: index and files together."""

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
    """Deletes videos from `video_files`, and restores them from `trash`.

    Args:
        derived: the files made from the videos. They are removed when a video is removed permanently.
        changing: entered for each change; raises ReadOnly if this process may not change the library.
        catalogue: returns the catalogue of the library.
        days: how many days a deleted video stays in the trash; 0: it is removed at once.
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
        """Move a video into the trash, or remove it if there is no trash; returns whether it is in the trash now.

        If a video has no MP4, its sidecar is moved to `library/lost`.

        Args:
            moment: time of the deletion; videos that are deleted together have the same.

        Raises:
            NotFound, StudioError.
            ReadOnly: also for a video of a newer studio, because this one does not know its other files.
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
        """Restore a video with all its files from the trash; a video in the library is returned unchanged.

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
        """Remove a video from the trash permanently. Raises NotFound, ReadOnly, StudioError."""
        with self._changing():
            self._erase((video_id,))

    def expire(self, limit: int, now: datetime | None = None) -> int:
        """Remove videos that are in the trash for `days` days or more, at most `limit`; returns their number."""
        with self._changing():
            due = self._trash.due(self.days, now or datetime.now(UTC), limit)
            self._erase(due)
        return len(due)

    def _erase(self, video_ids: Sequence[str]) -> None:
        self._derived.forget(video_ids)  # first: after a crash here the videos are still in the trash, for a later try
        for video_id in video_ids:
            self._trash.erase(video_id)
