"""The searches that people saved under a name, in `searches.json` of the data directory.

    {"schema": 1, "searches": [{"name": "Night, unfinished", "query": {"text": "night", "tags": ["to redo"]}}]}

Any process may change them: each change takes a lock, writes a new file and renames it. They are no part of the
library, and the index can be rebuilt without them.
"""

import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from filelock import FileLock, Timeout

from core.errors import BadRequest, DamagedVideo, NotFound, ReadOnly
from core.library.atomic_files import disk_errors, write_file
from core.library.search.query import Query, query_from

SCHEMA = 1
MAX_NAME = 64
MAX_COUNT = 200
_PATIENCE_S = 10


@dataclass(frozen=True)
class SavedSearch:
    """A name and its search. Page and place of the query are not stored."""

    name: str
    query: Query


class SavedSearches:
    """The saved searches of one file. Safe in threads and processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writing = threading.Lock()

    def all(self) -> tuple[SavedSearch, ...]:
        """Every saved search, sorted by name. An invalid search in the file is skipped.

        Raises:
            DamagedVideo: the file cannot be read. The next `save` renames it and begins a new one.
            ReadOnly: a newer studio wrote it.
        """
        found = []
        for row in self._rows():
            try:
                found.append(SavedSearch(_named(row["name"]), query_from(row["query"])))
            except (BadRequest, KeyError, TypeError):
                continue
        return tuple(sorted(found, key=lambda saved: (saved.name.casefold(), saved.name)))

    def save(self, name: str, query: Query) -> SavedSearch:
        """Store a search under a name; it replaces a search of the same name.

        Raises:
            BadRequest: the name is empty, too long or unprintable, the search is empty, or there are too many.
            DiskFull, ReadOnly: it could not be written.
        """
        name, document = _named(name), query.document()
        if not document:
            raise BadRequest("search", "is empty: search or filter for something before you save it.")
        with self._changing() as rows:
            rows[:] = [row for row in rows if row.get("name") != name]
            if len(rows) >= MAX_COUNT:
                raise BadRequest("search", f"cannot be saved: there are {len(rows)} already. Delete some first.")
            rows.append({"name": name, "query": document})
        return SavedSearch(name, query_from(document))

    def rename(self, name: str, new: str) -> None:
        """Give a saved search another name. Raises NotFound; BadRequest: another search has that name."""
        new = _named(new)
        with self._changing() as rows:
            row = _find(rows, name)
            if new != name and any(other.get("name") == new for other in rows):
                raise BadRequest("name", f"{new!r} is the name of another saved search.")
            row["name"] = new

    def delete(self, name: str) -> None:
        """Remove a saved search; the videos do not change. Raises NotFound."""
        with self._changing() as rows:
            rows.remove(_find(rows, name))

    def _rows(self) -> list[dict[str, Any]]:
        """The searches of the file, unchecked."""
        rows: list[dict[str, Any]]
        try:
            document = orjson.loads(self._path.read_bytes())
            schema, rows = document["schema"], document["searches"]
            whole = isinstance(schema, int) and isinstance(rows, list) and all(isinstance(r, dict) for r in rows)
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DamagedVideo(f"The saved searches in {self._path.name} cannot be read.") from error
        if not whole:
            raise DamagedVideo(f"The saved searches in {self._path.name} cannot be read.")
        if schema > SCHEMA:
            raise ReadOnly(f"A newer studio wrote {self._path.name}; update this one to use the saved searches.")
        return rows

    @contextmanager
    def _changing(self) -> Iterator[list[dict[str, Any]]]:
        """The rows, for a change in place. They are written when the block ends without an error."""
        lock = FileLock(self._path.with_suffix(".lock"), thread_local=False)
        with self._writing, disk_errors(str(self._path.parent)):
            try:
                lock.acquire(timeout=_PATIENCE_S)
            except Timeout as error:
                raise ReadOnly("Another process is changing the saved searches; try again.") from error
            try:
                try:
                    rows = self._rows()
                except DamagedVideo:
                    self._put_aside()
                    rows = []
                yield rows
                document = {"schema": SCHEMA, "searches": rows}
                write_file(self._path, orjson.dumps(document, option=orjson.OPT_INDENT_2))
            finally:
                lock.release()

    def _put_aside(self) -> None:
        now = datetime.now(UTC)
        self._path.replace(self._path.with_name(f"searches.corrupt-{now:%Y%m%d-%H%M%S-%f}.json"))


def _find(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    for row in rows:
        if row.get("name") == name:
            return row
    raise NotFound(f"There is no saved search named {name!r}.")


def _named(name: Any) -> str:
    clean = " ".join(name.split()) if isinstance(name, str) else ""
    if not clean:
        raise BadRequest("name", "is empty; give the search a name.")
    if len(clean) > MAX_NAME:
        raise BadRequest("name", f"has {len(clean)} characters; at most {MAX_NAME}.")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in clean):
        raise BadRequest("name", "holds a control character; remove it.")
    return clean
