"""Finds the damaged videos of the library. A check of every file takes long, so the answer is stored for a while.

An answer is valid while the index and the folders do not change: a new, removed or replaced file changes its
folder. A file that is overwritten in place does not. So an answer is used for at most `REMEMBERED_S` seconds.
"""

import time
from collections.abc import Callable, Iterable

from core.errors import DamagedVideo, NotFound, ReadOnly
from core.library.search.entry import Entry
from core.library.storage.video_files import VideoFiles

REMEMBERED_S = 30.0
SETTLED_S = 1.0  # a folder that changed less than this ago may change again with the same time stamp


class Damage:
    """The damaged videos of `video_files`. Safe in threads. `clock`: in seconds."""

    def __init__(self, video_files: VideoFiles, clock: Callable[[], float] = time.monotonic) -> None:
        self._video_files = video_files
        self._clock = clock
        self._known: tuple[object, float, frozenset[str]] | None = None

    def among(self, entries: Iterable[Entry], generation: int) -> frozenset[str]:
        """The ids of the entries whose sidecar or MP4 is missing or unreadable.

        Args:
            entries: every entry of the index. generation: grows with each change of them.
        """
        folders, now = self._stamps(), self._clock()
        known = self._known
        if known is not None and known[0] == (generation, folders) and now - known[1] < REMEMBERED_S:
            return known[2]
        found = frozenset(entry.id for entry in self._damaged(entries))
        settled = time.time_ns() - int(SETTLED_S * 1e9)
        self._known = ((generation, folders), now, found) if all(at < settled for _, at in folders) else None
        return found

    def _stamps(self) -> tuple[tuple[str, int], ...]:
        """Every month folder, and the time of the last change of a name in it."""
        stamps = []
        for path in self._video_files.folders():
            try:
                stamps.append((path.name, path.stat().st_mtime_ns))
            except FileNotFoundError:
                continue  # removed during the check
        return tuple(stamps)

    def _damaged(self, entries: Iterable[Entry]) -> Iterable[Entry]:
        """A sidecar is read only if it changed since its row was made."""
        whole: dict[str, int] = {}
        for path in self._video_files.folders():
            folder = self._video_files.folder(path)
            whole |= {video_id: folder.stamps[video_id] for video_id in folder.whole}
        return [entry for entry in entries
                if entry.id not in whole or self._video_files.size(entry.id) != entry.bytes
                or (whole[entry.id] != entry.sidecar_ns and not self._reads(entry.id))]

    def _reads(self, video_id: str) -> bool:
        try:
            self._video_files.read(video_id)
        except ReadOnly:
            return True  # a newer studio can read it
        except (NotFound, DamagedVideo):
            return False
        return True
