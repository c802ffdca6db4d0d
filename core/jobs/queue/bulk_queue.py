"""Bulk actions: one change of many videos. Each is accepted as one; the owner of the library does it in small pieces.

Each change can be made twice without harm, so a piece that a crash cut short is simply done again. The list of
videos is written once; after each piece only a number is noted.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.domain.video import is_id
from core.errors import BadRequest, NotFound
from core.jobs.queue.database import Database
from core.jobs.queue.job import now
from core.library.changes import CHANGES, OneVideo, read_change

ACTIONS = tuple(kind for kind, change in CHANGES.items() if issubclass(change, OneVideo))
SHOWN = 100  # refusals that are stored word for word


@dataclass(frozen=True)
class BulkAction:
    """One change of many videos.

    Attributes:
        action, args: a change of `core.library.changes`, one of `ACTIONS`, without the id.
        total, done: the number of its videos, and the number of those it was tried on.
        refusals: the number of videos that refused; refused: the first of these, as (id, sentence).
        created, ended: UTC, ISO 8601; ended is None while there is something left to do.
        stop_requested: somebody asked to stop it; the finished part stays.
    """

    id: int
    action: str
    args: dict[str, Any] = field(hash=False)
    total: int
    done: int
    refusals: int
    refused: tuple[tuple[str, str], ...]
    created: str
    ended: str | None
    stop_requested: bool

    @property
    def stopped(self) -> bool:
        """Whether it ended before all its videos were done."""
        return self.ended is not None and self.done < self.total


class BulkQueue:
    """The bulk actions of one ledger. Thread-safe; several processes may have it open."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, action: str, video_ids: Sequence[str], args: dict[str, Any]) -> BulkAction:
        """Accept a bulk action; when this returns, it is on the disk.

        Raises:
            BadRequest: no such action, wrong arguments, no videos, or something that is not the id of one.
        """
        if action not in ACTIONS:
            raise BadRequest("request", f"{action!r} cannot be done to many videos; only {', '.join(ACTIONS)} can.")
        video_ids = list(dict.fromkeys(video_ids))
        wrong = next((each for each in video_ids if not is_id(each)), None)
        if wrong is not None or not video_ids:
            raise BadRequest("request", f"{str(wrong)[:80]!r} is not the id of a video." if video_ids
                             else "No video was chosen.")
        read_change(action, {**args, "id": video_ids[0]})
        written = self._database.change("INSERT INTO bulk_videos (videos) VALUES (?) RETURNING id",
                                        (" ".join(video_ids),))[0]["id"]
        self._database.write("INSERT INTO bulks (id, action, args, total, created) VALUES (?, ?, ?, ?, ?)",
                             (written, action, json.dumps(args), len(video_ids), now()))
        return self.get(written)

    def get(self, bulk_id: int) -> BulkAction:
        """One bulk action. Raises NotFound: there is none, or it ended more than a day ago."""
        rows = self._database.read("SELECT * FROM bulks WHERE id = ?", (bulk_id,))
        if not rows:
            raise NotFound(f"There is no bulk {bulk_id}.")
        return _bulk(rows[0])

    def unfinished(self) -> tuple[BulkAction, ...]:
        """The bulk actions with something left to do, in the order in which they run."""
        return tuple(map(_bulk, self._database.read("SELECT * FROM bulks WHERE ended IS NULL ORDER BY id")))

    def videos(self, bulk_id: int) -> list[str]:
        """The ids of its videos, in the order in which they are done."""
        rows = self._database.read("SELECT videos FROM bulk_videos WHERE id = ?", (bulk_id,))
        return rows[0]["videos"].split(" ") if rows else []

    def note(self, bulk: BulkAction, done: int, refused: Sequence[tuple[str, str]]) -> None:
        """Note that it was tried on the first `done` of its videos; `refused`: the refusals since the last note."""
        kept = [*bulk.refused, *refused][:SHOWN]
        self._database.write(
            "UPDATE bulks SET done = ?, refusals = refusals + ?, refused = ?, "
            "ended = CASE WHEN ? >= total THEN ? END WHERE id = ? AND ended IS NULL AND done = ?",
            (done, len(refused), json.dumps(kept), done, now(), bulk.id, bulk.done))

    def request_stop(self, bulk_id: int) -> None:
        """Ask to stop it; the finished part stays."""
        self._database.write("UPDATE bulks SET stop_requested = 1 WHERE id = ? AND ended IS NULL", (bulk_id,))

    def end(self, bulk_id: int) -> None:
        """Stop it now; the finished part stays."""
        self._database.write("UPDATE bulks SET ended = ? WHERE id = ? AND ended IS NULL", (now(), bulk_id))

    def forget(self, before: str) -> None:
        """Forget the bulk actions that ended before a moment (UTC, ISO 8601)."""
        self._database.write("DELETE FROM bulks WHERE ended < ?", (before,))
        self._database.write("DELETE FROM bulk_videos WHERE id NOT IN (SELECT id FROM bulks) "
                             "AND id < (SELECT coalesce(max(id), 0) FROM bulk_videos)")


def _bulk(row: Mapping[str, Any]) -> BulkAction:
    return BulkAction(
        id=row["id"], action=row["action"], args=json.loads(row["args"]), total=row["total"], done=row["done"],
        refusals=row["refusals"], refused=tuple((each, why) for each, why in json.loads(row["refused"])),
        created=row["created"], ended=row["ended"], stop_requested=bool(row["stop_requested"]))
