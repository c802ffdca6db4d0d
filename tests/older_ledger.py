"""A ledger of today made into one that an older studio wrote: each schema is undone, the newest first."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from core.jobs.queue.database import SCHEMA

_UNDO = {
    5: "ALTER TABLE jobs DROP COLUMN origin",
    4: "DROP TABLE bulks; DROP TABLE bulk_videos",
    3: "ALTER TABLE jobs DROP COLUMN audition",
    2: "ALTER TABLE jobs DROP COLUMN pause_requested; ALTER TABLE jobs DROP COLUMN phase_from",
}
"""From each older schema to the one before it."""


def make_older(path: Path, schema: int) -> None:
    """Turn the ledger at `path`, which nobody has open, into one of `schema` (1 to 5), with the same jobs."""
    with closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        assert database.execute("PRAGMA user_version").fetchone()[0] == SCHEMA == 6
        _undo_tasks(database)
        for newer in range(5, schema, -1):
            database.executescript(_UNDO[newer])
        database.execute(f"PRAGMA user_version = {schema}")
        database.commit()


def _undo_tasks(database: sqlite3.Connection) -> None:
    """From schema 6 to 5: the one column `task` becomes the five that there were."""
    database.executescript("""
        ALTER TABLE jobs ADD COLUMN request TEXT NOT NULL DEFAULT '';
        ALTER TABLE jobs ADD COLUMN parent TEXT;
        ALTER TABLE jobs ADD COLUMN kind TEXT NOT NULL DEFAULT 'generate';
        ALTER TABLE jobs ADD COLUMN audition TEXT NOT NULL DEFAULT '';
        ALTER TABLE jobs ADD COLUMN origin TEXT NOT NULL DEFAULT '';
        ALTER TABLE bulks RENAME COLUMN action TO deed""")
    for row in database.execute("SELECT * FROM jobs").fetchall():
        task = json.loads(row["task"])
        recipe, kind = task.pop("recipe"), task.pop("kind")
        parent, origin = task.pop("parent", None), task.pop("origin", None)
        database.execute(
            "UPDATE jobs SET request = ?, parent = ?, kind = ?, audition = ?, origin = ? WHERE seq = ?",
            (json.dumps(recipe), parent, origin["kind"] if origin else kind, json.dumps(task) if task else "",
             json.dumps(origin) if origin else "", row["seq"]))
    database.execute("ALTER TABLE jobs DROP COLUMN task")
