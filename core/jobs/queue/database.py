"""The SQLite file under the ledger: opened, checked, set aside when damaged, and its errors put into words.

Write-ahead log with `synchronous=FULL`: committed data survives a crash, a kill -9 and a power cut. One
connection writes and one reads, each behind its own lock, so that a page never waits for another's fsync.
The file needs a local disk: the log's shared memory does not work over a network file system.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.errors import DiskFull, ReadOnly, StudioError
from core.jobs.queue.schema import SCHEMA, bring_up_to_date, version_of

BUSY_TIMEOUT_S = 10.0


class Database:
    """One SQLite file, usable from every thread; other processes may have it open too.

    Attributes:
        damaged: where a damaged file was set aside when this one was opened, or None.
    """

    def __init__(self, path: Path) -> None:
        """Open or make the file.

        Raises:
            ReadOnly: it was written by a newer studio, or may not be written.
            DiskFull, StudioError: it cannot be made or opened.
        """
        self.path = path
        self.damaged: Path | None = None
        with spoken():
            seen = _identity(path)
            try:
                self._writer = _prepared(path)
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                if _identity(path) == seen:  # else another process has just set it aside
                    self.damaged = _set_aside(path)
                self._writer = _prepared(path)
            self._reader = _connect(path)
        self._writing = threading.RLock()
        self._reading = threading.Lock()

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """The rows of one SELECT; never waits for a writer."""
        with self._reading, spoken():
            return list(map(dict, self._reader.execute(sql, values)))

    def write(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run one statement and commit it; the number of rows it changed."""
        with self._writing, spoken():
            return self._writer.execute(sql, values).rowcount

    def change(self, sql: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Run one statement with RETURNING and commit it; the rows it changed."""
        with self._writing, spoken():
            return list(map(dict, self._writer.execute(sql, values)))

    def close(self) -> None:
        """Close both connections; using the database afterwards is an error."""
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()


@contextmanager
def spoken() -> Iterator[None]:
    """Turn an error of SQLite into one with a sentence for the person."""
    try:
        yield
    except sqlite3.Error as error:
        raise _sentence(error) from error


def _sentence(error: sqlite3.Error) -> StudioError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return DiskFull("The queue could not be saved: the disk is full or failing. "
                        "Free some space, then try again.")
    if code == sqlite3.SQLITE_READONLY:
        return ReadOnly("The queue may not be written: the file or its folder is read-only.")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StudioError("The queue is busy with another process; try again in a moment.")
    if code == sqlite3.SQLITE_CANTOPEN:
        return StudioError("The queue cannot be opened: its folder is missing or may not be entered.")
    if _is_damage(error):
        return StudioError("The queue's file is damaged; restart the studio, and it starts a new one.")
    return StudioError(f"The queue cannot be used: {error}.")


def _is_damage(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    return connection


def _identity(path: Path) -> int:
    return path.stat().st_ino if path.exists() else 0


def _prepared(path: Path) -> sqlite3.Connection:
    """A connection to a sound file of our schema. Raises sqlite3.DatabaseError with the code of damage."""
    with ExitStack() as undo:
        connection = _connect(path)
        undo.callback(connection.close)
        version = version_of(connection)
        if version > SCHEMA:
            raise ReadOnly(f"The queue was written by a newer studio (schema {version}); this one reads "
                           f"schema {SCHEMA}. Update the studio.")
        if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            damage = sqlite3.DatabaseError("quick_check found damage")
            damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise damage
        connection.execute("PRAGMA synchronous=FULL")
        _use_write_ahead_log(connection)
        bring_up_to_date(connection, path)
        undo.pop_all()
    return connection


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch the file over. SQLite does not honour its busy timeout here, so we wait ourselves."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _set_aside(path: Path) -> Path:
    """Rename the damaged file, its log and its shared memory together; the new name."""
    kept = path.with_name(f"{path.stem}.corrupt-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}{path.suffix}")
    path.rename(kept)
    for tail in ("-wal", "-shm"):
        beside = path.with_name(path.name + tail)
        if beside.exists():
            beside.rename(kept.with_name(kept.name + tail))
    return kept


def readable_rows(path: Path, table: str) -> list[dict[str, Any]]:
    """The rows of a damaged file's table that can still be read: from its front, then from its back."""
    found: dict[int, dict[str, Any]] = {}
    for order in ("ASC", "DESC"):
        try:
            connection = sqlite3.connect(path, isolation_level=None)
        except sqlite3.Error:
            return []
        connection.row_factory = sqlite3.Row
        try:
            for row in connection.execute(f"SELECT rowid AS place, * FROM {table} ORDER BY rowid {order}"):
                found.setdefault(row["place"], dict(row))
        except sqlite3.Error:
            pass  # the damage begins here; the rows before it stay
        finally:
            connection.close()
    return [found[place] for place in sorted(found)]
