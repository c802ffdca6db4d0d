"""The index: a TinyDB file, held in memory. It can be rebuilt at any time.

TinyDB rewrites its complete file at each change and is not safe in threads. Its own storage writes in place, so a
crash leaves half a file. Here locks protect one instance, and all reading happens in memory. A change writes a new
file and renames it: at once if that is quick, otherwise a moment later in the background. A crash in between loses
only rows of the index; the next opening of the library restores them from the sidecars.

The file is an ordinary TinyDB file: `TinyDB("index.json").search(where("seed") == 7)` works on it.
"""

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import orjson
from tinydb import TinyDB
from tinydb.storages import Storage

from core.errors import ReadOnly, StudioError
from core.library.atomic_files import disk_errors, write_file
from core.library.search.blocks import Blocks
from core.library.search.entry import Entry
from core.library.search.gc_pause import uncollected

FORMAT = 4
INLINE_ROWS = 1000  # an index with more rows is written in the background
PIECE_ROWS = 250  # a millisecond of work
DELAY_S = 1.0
RETRY_S = 30.0


class AtomicStorage(Storage):
    """A TinyDB storage. Its file is always the old one or the new one, never half of one.

    It is not forced to the disk (no fsync). After a power cut the file may be old or damaged; it is then rebuilt.
    """

    def __init__(self, path: Path) -> None:
        self._path = Path(path)

    def read(self) -> dict[str, dict[str, Any]] | None:
        """All tables, or None if there is no file. Raises ValueError if it is not a JSON object."""
        try:
            tables = orjson.loads(self._path.read_bytes())
        except FileNotFoundError:
            return None
        if not isinstance(tables, dict):
            raise ValueError("not a JSON object")
        return tables

    def write(self, data: dict[str, dict[str, Any]]) -> None:
        """Replace the file. Raises DiskFull, ReadOnly or StudioError."""
        self.write_pieces([orjson.dumps(data)])

    def write_pieces(self, pieces: Iterable[bytes]) -> None:
        """Replace the file by these pieces, one at a time; raises like `write`."""
        write_file(self._path, pieces, durable=False)


class Index:
    """All entries, newest first, in memory; safe in threads, one writing process at a time.

    Args:
        path: of the file; its folder exists.
        writable: False: never writes, and reads a changed file again (`refresh`).

    Attributes:
        problem: the reason why the last read file is not usable: ""; "missing"; "outdated" (an earlier studio
            wrote it); "newer" (a newer studio wrote it; the file is never changed); "damaged".
        format: of the last read file; `FORMAT` without one.
        quarantine: the new path of a damaged file.
        generation: grows with each change.
    """

    def __init__(self, path: Path, writable: bool) -> None:
        self.problem = ""
        self.format = FORMAT
        self.quarantine: Path | None = None
        self.generation = 0
        self._path = path
        self._writable = writable
        self._db = TinyDB(path, storage=AtomicStorage)
        self._lock = threading.Lock()  # protects the entries; held for moments
        self._flushing = threading.Lock()  # protects the file; taken before _lock, never after
        self._timer: threading.Timer | None = None
        self._closed = False
        self._together = 0
        self._flush_s = 0.0
        self._flushed = 0
        self._by_id: dict[str, Entry] = {}
        self._rows = Blocks()
        self._seen: tuple[int, ...] | None = None
        self._read()

    @property
    def newer(self) -> str:
        """The explanation and the solution, as sentences, if a newer studio wrote the file; else empty."""
        return "" if self.problem != "newer" else (
            "A newer studio wrote this library. You can look at it, but not make, change or delete anything here. "
            "Update the studio, or choose another folder with T2V_DATA_DIR.")

    def get(self, video_id: str) -> Entry | None:
        """The entry of that id, or None."""
        return self._by_id.get(video_id)

    def rows(self) -> Blocks:
        """All entries at this moment."""
        return self._rows

    def all(self) -> Sequence[Entry]:
        """All entries, newest first. The list is shared; treat it as read-only."""
        return self._rows.newest

    def put(self, entry: Entry) -> None:
        """Add an entry, or replace the one of the same id."""
        self._may_write()
        with self._lock:
            self._take_out(entry.id)
            self._by_id[entry.id] = entry
            self._rows = self._rows.added(entry)
            self.generation += 1
        self._flush_soon()

    def remove(self, video_id: str) -> None:
        """Remove the entry of that id, if there is one."""
        self._may_write()
        with self._lock:
            self._take_out(video_id)
            self.generation += 1
        self._flush_soon()

    def replace_all(self, entries: Iterable[Entry]) -> None:
        """Replace all entries by these. A reader may do this too, in memory."""
        with self._lock:
            self._hold(entries)
        if self._writable:
            self._flush_soon()

    @contextmanager
    def together(self) -> Iterator[None]:
        """A context for many changes: they are written in the background, also if the file is small."""
        with self._lock:
            self._together += 1
        try:
            yield
        finally:
            with self._lock:
                self._together -= 1

    def refresh(self) -> bool:
        """In a reader: read the file again if it has changed. Returns whether it was read."""
        if self._writable or self._signature() == self._seen:
            return False
        self._read()
        return True

    def flush(self) -> None:
        """Write the file now, if the entries have changed since the last write.

        Raises:
            DiskFull, ReadOnly, StudioError: it could not be written; all entries remain in memory.
        """
        with self._flushing:
            with self._lock:
                rows, generation = self._rows, self.generation
            if generation == self._flushed:
                return
            began = time.monotonic()
            cast(AtomicStorage, self._db.storage).write_pieces(_pieces(rows.oldest))
            self._flush_s, self._flushed = time.monotonic() - began, generation

    def close(self) -> None:
        """Write the remaining changes. A full disk does no harm here: the sidecars hold everything."""
        with self._lock:
            timer, self._timer, self._closed = self._timer, None, True
        if timer is not None:
            timer.cancel()
            timer.join()
        if self._writable:
            self._flush_calmly()
        self._db.close()

    # Inside

    @uncollected()
    def _read(self) -> None:
        """Read the entries from the file. An unusable file sets `problem` and gives no entries."""
        self._seen = self._signature()
        try:
            tables = self._db.storage.read()
            self.format = FORMAT if tables is None else _format(tables)
            entries = [] if tables is None or self.format != FORMAT else Entry.from_documents(
                tables["_default"].values())
        except (ValueError, TypeError, KeyError, AttributeError):
            if self._writable:
                self._put_aside()
            self.problem, entries = "damaged", []
        else:
            self.problem = "missing" if tables is None else _problem(self.format)
        if self.problem == "newer":
            self._writable = False
        with self._lock:
            if not self.problem or self._writable:
                self._hold(entries)
        if not self.problem:
            self._flushed = self.generation

    def _put_aside(self) -> None:
        now = datetime.now(UTC)
        self.quarantine = self._path.with_name(f"index.corrupt-{now:%Y%m%d-%H%M%S-%f}.json")
        with disk_errors(str(self._path.parent)):
            self._path.replace(self.quarantine)

    def _signature(self) -> tuple[int, ...] | None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _hold(self, entries: Iterable[Entry]) -> None:
        self._by_id = {entry.id: entry for entry in entries}
        self._rows = Blocks.of(self._by_id.values())
        self.generation += 1

    def _take_out(self, video_id: str) -> None:
        old = self._by_id.pop(video_id, None)
        if old is not None:
            self._rows = self._rows.without(old)

    def _may_write(self) -> None:
        if not self._writable:
            raise ReadOnly("Another studio owns this library; only it may change the index.")

    def _flush_soon(self) -> None:
        """Write a small file now, a large one in the background. Writing takes at most 1/20 of the time."""
        if self._together or len(self._rows) > INLINE_ROWS:
            self._start_timer(max(DELAY_S, 20 * self._flush_s))
        elif not self._flush_calmly():
            self._start_timer(RETRY_S)

    def _start_timer(self, delay_s: float) -> None:
        with self._lock:
            if self._timer is None and not self._closed:
                self._timer = threading.Timer(delay_s, self._flush_late)
                self._timer.daemon = True
                self._timer.start()

    def _flush_late(self) -> None:
        with self._lock:
            if self._timer is None:
                return  # close() was called and writes the file
            self._timer = None
        if not self._flush_calmly():
            self._start_timer(RETRY_S)

    def _flush_calmly(self) -> bool:
        """Flush; returns whether it worked. A failure only makes the next start slower."""
        try:
            self.flush()
        except StudioError:
            return False
        return True


def _pieces(entries: Sequence[Entry]) -> Iterator[bytes]:
    """The file, a few rows at a time. Between the pieces other threads can run."""
    yield b'{"_default":{'
    for first in range(0, len(entries), PIECE_ROWS):
        piece = enumerate(entries[first:first + PIECE_ROWS], first + 1)
        rows = {str(number): entry.document() for number, entry in piece}
        yield (b"," if first else b"") + orjson.dumps(rows)[1:-1]
        time.sleep(0)
    yield b'},"about":' + orjson.dumps({"1": {"format": FORMAT}}) + b"}"


def _format(tables: Any) -> int:
    """The format of an index file. Raises TypeError or KeyError: it is not an index."""
    written = tables["about"]["1"]["format"]
    if not isinstance(written, int) or isinstance(written, bool) or not isinstance(tables["_default"], dict):
        raise TypeError("this is not an index")
    return written


def _problem(written: int) -> str:
    """The problem of this format. An older format lacks values; a newer one is unknown here."""
    return "outdated" if written < FORMAT else "newer" if written > FORMAT else ""
