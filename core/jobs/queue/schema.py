"""The tables of the ledger's file, and the way from every older schema to this one.

A file of an older schema is copied first (`jobs.schema-5.sqlite` beside it); the copy stays.
"""

import json
import logging
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

SCHEMA = 6
_LOG = logging.getLogger(__name__)

TABLES = """
CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    task TEXT NOT NULL,
    owner TEXT NOT NULL,
    state TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    error TEXT NOT NULL DEFAULT '',
    phase TEXT NOT NULL DEFAULT 'queued',
    done INTEGER NOT NULL DEFAULT 0,
    total INTEGER NOT NULL DEFAULT 0,
    preview INTEGER NOT NULL DEFAULT 0,
    created TEXT NOT NULL,
    started TEXT,
    phase_started TEXT,
    ended TEXT,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    worker TEXT NOT NULL DEFAULT '',
    pause_requested INTEGER NOT NULL DEFAULT 0,
    phase_from INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX jobs_by_state ON jobs (state, seq);
CREATE TABLE commands (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    args TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued',
    attempt INTEGER NOT NULL DEFAULT 0,
    result TEXT NOT NULL DEFAULT 'null',
    error TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    created TEXT NOT NULL
);
CREATE INDEX commands_by_state ON commands (state, id);
"""

BULKS = """
CREATE TABLE bulk_videos (id INTEGER PRIMARY KEY AUTOINCREMENT, videos TEXT NOT NULL);
CREATE TABLE bulks (
    id INTEGER PRIMARY KEY,
    action TEXT NOT NULL,
    args TEXT NOT NULL,
    total INTEGER NOT NULL,
    done INTEGER NOT NULL DEFAULT 0,
    refusals INTEGER NOT NULL DEFAULT 0,
    refused TEXT NOT NULL DEFAULT '[]',
    stop_requested INTEGER NOT NULL DEFAULT 0,
    created TEXT NOT NULL,
    ended TEXT
)"""
TABLES += BULKS

_STEPS = {1: """ALTER TABLE jobs ADD COLUMN pause_requested INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN phase_from INTEGER NOT NULL DEFAULT 0""",
    2: "ALTER TABLE jobs ADD COLUMN audition TEXT NOT NULL DEFAULT ''",
    3: BULKS.replace("action TEXT", "deed TEXT"),
    4: "ALTER TABLE jobs ADD COLUMN origin TEXT NOT NULL DEFAULT ''",
    5: """ALTER TABLE bulks RENAME COLUMN deed TO action;
    ALTER TABLE jobs ADD COLUMN task TEXT NOT NULL DEFAULT ''"""}
"""From each older schema to the one after it; after the last, `_write_tasks`."""

_BEFORE_TASKS = ("request", "parent", "kind", "audition", "origin")
"""The columns that became the one column `task`."""


def version_of(connection: sqlite3.Connection) -> int:
    """The schema of a file; 0 for a new one."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def bring_up_to_date(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables of a new file, or bring those of an older one up to date, all in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        version = version_of(connection)
        if version == SCHEMA:
            return
        if version:
            _keep_a_copy(path, version)
        for statements in [TABLES] if version == 0 else [_STEPS[older] for older in range(version, SCHEMA)]:
            for statement in statements.split(";"):
                connection.execute(statement)
        if version:
            _write_tasks(connection)
        connection.execute(f"PRAGMA user_version={SCHEMA}")


def _keep_a_copy(path: Path, version: int) -> None:
    """Copy the file as it is. Nobody else can write now: the caller has begun its transaction."""
    copy = path.with_name(f"{path.stem}.schema-{version}{path.suffix}")
    if copy.exists():
        return
    part = copy.with_name(copy.name + ".part")
    part.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(part)) as new:
        old.backup(new)
    part.replace(copy)


def _write_tasks(connection: sqlite3.Connection) -> None:
    for row in [dict(row) for row in connection.execute("SELECT * FROM jobs")]:
        try:
            task = task_of_older(row)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            _LOG.warning("The job %s cannot be read and is left out; the copy has it: %s", row["id"], error)
            connection.execute("DELETE FROM jobs WHERE seq = ?", (row["seq"],))
        else:
            connection.execute("UPDATE jobs SET task = ? WHERE seq = ?", (task, row["seq"]))
    for column in _BEFORE_TASKS:
        connection.execute(f"ALTER TABLE jobs DROP COLUMN {column}")


def task_of_older(row: Mapping[str, Any]) -> str:
    """The column `task` of a row that an older schema wrote.

    Raises:
        ValueError, TypeError, LookupError, AttributeError: the row is damaged.
    """
    values = {name: row[name] for name in _BEFORE_TASKS if name in row}
    recipe = json.loads(values["request"])
    if values["kind"] == "audition":
        return json.dumps({"kind": "audition", "recipe": recipe, **json.loads(values["audition"])})
    origin = json.loads(values["origin"]) if values.get("origin") else None
    if origin is None and values["parent"]:
        origin = {"kind": values["kind"]}
    return json.dumps({"kind": "generate", "recipe": recipe, "parent": values["parent"], "origin": origin})
