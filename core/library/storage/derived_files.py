"""Files made from videos, which can be made again at any time, in one folder with a size limit.

`derived/` may be deleted at any time, also while the studio runs. Any process may write into it. A file appears
under its name only when it is complete. If the folder grows too large, the files with the oldest use are removed.
"""

import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from weakref import WeakValueDictionary

from core.domain.video import ID
from core.library.atomic_files import PART, disk_errors

MAX_BYTES = 2**30
AT_ONCE = 2  # files made at the same time: each needs one core
_ABANDONED_S = 3600  # a part older than this belongs to a dead process
_NAME = re.compile(r"[0-9a-z][0-9a-z._-]{0,120}")


class DerivedFiles:
    """The folder of one data directory. Safe in threads and in processes.

    Args:
        root: the folder; created on first use.
        max_bytes: the size limit of the folder; the newest file always stays, also a larger one.
    """

    def __init__(self, root: Path, max_bytes: int = MAX_BYTES) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self._naming = threading.Lock()
        self._making: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        self._places = threading.BoundedSemaphore(AT_ONCE)

    def find(self, name: str) -> Path | None:
        """The file of that name, or None if it does not exist."""
        path = self._path(name)
        return path if path.is_file() else None

    def get(self, name: str, make: Callable[[Path], object]) -> Path:
        """The file of that name. If there is none, `make` writes it to the path that it receives.

        Args:
            name: lower-case letters, digits, `.`, `_` and `-`. It contains everything the content depends on, also
                the hash of the MP4.

        Raises:
            DiskFull, ReadOnly, StudioError: the disk refused the write. Exceptions of `make` pass through. After an
                error no file remains.
        """
        path = self._path(name)
        with self._lock_of(name):
            if not self._used(path):
                with self._places, disk_errors(str(self._root)):
                    self._make(path, make)
                self._trim(path)
        return path

    def forget(self, video_ids: Iterable[str]) -> None:
        """Remove all files that were made from these videos, alone or together with others.

        Raises:
            ReadOnly, StudioError: the disk refused.
        """
        gone = frozenset(video_ids)
        if not gone or not self._root.is_dir():
            return
        with disk_errors(str(self._root)):
            for name in os.listdir(self._root):  # noqa: PTH208 (there may be many)
                if not gone.isdisjoint(ID.findall(name)):
                    (self._root / name).unlink(missing_ok=True)

    @contextmanager
    def passing(self, data: bytes | memoryview) -> Iterator[Path]:
        """A temporary file with this content. It is removed at the end; if this process dies, a later trim removes it.

        Raises:
            DiskFull, ReadOnly, StudioError: it cannot be written.
        """
        path = self._root / f"passing.{os.getpid()}-{secrets.token_hex(4)}{PART}"
        try:
            with disk_errors(str(self._root)):
                self._root.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a derived file")
        return self._root / name

    def _lock_of(self, name: str) -> threading.Lock:
        with self._naming:
            return self._making.setdefault(name, threading.Lock())

    def _used(self, path: Path) -> bool:
        """Whether the file is there. It sets the time of its last use; a browser's copy stays valid."""
        try:
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
        except FileNotFoundError:
            return False
        except OSError:
            return path.is_file()  # a read-only folder: no file is removed from it either
        return True

    def _make(self, path: Path, make: Callable[[Path], object]) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}{PART}")
        try:
            make(part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def _trim(self, newest: Path) -> None:
        """Remove the files with the oldest use, until the folder is small enough."""
        files = []
        try:
            with os.scandir(self._root) as entries:
                for entry in entries:
                    status = entry.stat()
                    if not entry.name.endswith(PART):
                        files.append((status.st_atime_ns, status.st_size, Path(entry.path)))
                    elif time.time() - status.st_mtime > _ABANDONED_S:
                        Path(entry.path).unlink(missing_ok=True)
            total = sum(size for _, size, _ in files)
            for _, size, path in sorted(files):
                if total <= self._max_bytes:
                    return
                if path != newest:
                    path.unlink(missing_ok=True)
                    total -= size
        except OSError:
            return  # another process trims, or a person deletes the folder: the next file tries again
