"""The queue: every accepted job, in one SQLite file, from accepting it to its end.

    queued → running → committing → done
       ↑________|          |→ failed
       |                   running → failed | cancelled | interrupted | queued (again) | paused
       └→ cancelled | paused → queued | cancelled

Each transition is one guarded UPDATE, so that two processes can never both make it. Jobs run in the order of their
rows, not of any clock. `docs/queue.md` has the promises of the queue.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from core.domain.progress import Progress
from core.domain.task import Task
from core.domain.video import new_id
from core.errors import BadRequest, NotFound, StudioError, revive, written
from core.jobs.kinds.unknown import Unknown
from core.jobs.queue.bulk_queue import BulkQueue
from core.jobs.queue.command import Command
from core.jobs.queue.database import Database, readable_rows
from core.jobs.queue.job import ACTIVE, COMMITTING, ENDED, PAUSED, QUEUED, RETRYABLE, STATES, UNFINISHED, Job, now
from core.jobs.queue.job_row import COLUMNS, job_of, values_of

__all__ = ["STATES", "Command", "Job", "Ledger"]

_POSITION = """CASE WHEN state = 'queued' THEN
    (SELECT count(*) FROM jobs AS ahead WHERE ahead.state = 'queued' AND ahead.seq <= jobs.seq) ELSE 0 END
    AS position"""
_ROW = f"SELECT *, {_POSITION} FROM jobs"


class Ledger:
    """Every job of one data directory. Thread-safe; several processes may have it open.

    Every method may raise `DiskFull`, `ReadOnly` or `StudioError` when the file cannot be used.

    Attributes:
        notice: a sentence for the person when the file was damaged and a new one was begun, else "".
    """

    def __init__(self, path: Path) -> None:
        """Open or make the ledger.

        Raises:
            ReadOnly: it was written by a newer studio.
        """
        self._database = Database(path)
        self.bulk_queue = BulkQueue(self._database)
        self.notice = ""
        if self._database.damaged:
            self.notice = self._read_back(self._database.damaged)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def add(self, task: Task, owner: str = "", max_queued: int | None = None) -> Job:
        """Accept a task. When this returns, the job is on the disk; it is returned as stored.

        Raises:
            BadRequest: `max_queued` jobs wait already; nothing was added.
        """
        return self._insert(Job.new(task, owner), max_queued)

    def _insert(self, job: Job, max_queued: int | None) -> Job:
        sql = (f"INSERT INTO jobs ({', '.join(COLUMNS)}) SELECT {', '.join('?' * len(COLUMNS))} "
               "WHERE ? IS NULL OR (SELECT count(*) FROM jobs WHERE state = 'queued') < ? "
               "ON CONFLICT (id) DO NOTHING")
        while not self._database.write(sql, (*values_of(job), max_queued, max_queued)):
            if not self._database.read("SELECT 1 FROM jobs WHERE id = ?", (job.id,)):
                raise BadRequest("request", f"The queue is full: {max_queued} jobs wait already. "
                                            "Wait until one is done, or cancel one.")
            job = replace(job, id=new_id())  # two jobs of one second drew the same id
        return self.get(job.id)

    def get(self, job_id: str) -> Job:
        """The job of that id.

        Raises:
            NotFound: there is none.
        """
        rows = self._database.read(f"{_ROW} WHERE id = ?", (job_id,))
        if not rows:
            raise NotFound(f"There is no job {job_id}.")
        return job_of(rows[0])

    def list(self, states: Sequence[str] | None = None, limit: int = 100,
             oldest_first: bool = False) -> tuple[Job, ...]:
        """At most `limit` jobs in one of `states` (None: any), the newest first or in the order they run."""
        chosen = "" if states is None else f"WHERE state IN ({', '.join('?' * len(states))})"
        order = "ASC" if oldest_first else "DESC"
        rows = self._database.read(f"{_ROW} {chosen} ORDER BY seq {order} LIMIT ?", (*(states or ()), limit))
        return tuple(job_of(row) for row in rows)

    def running(self) -> tuple[Job, ...]:
        """The jobs that are running or being committed."""
        return self.list(ACTIVE, limit=1000, oldest_first=True)

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state; states without one are absent."""
        rows = self._database.read("SELECT state, count(*) AS n FROM jobs GROUP BY state")
        return {row["state"]: row["n"] for row in rows}

    def claim(self, worker: str) -> Job | None:
        """Give the job that has waited longest to `worker`, or None when none waits.

        One statement under SQLite's write lock: no two callers, in any process, ever get the same job.
        """
        if not self._database.read("SELECT 1 FROM jobs WHERE state = 'queued' LIMIT 1"):
            return None
        rows = self._database.change(
            "UPDATE jobs SET state = 'running', attempt = attempt + 1, worker = ?, started = ?, ended = NULL, "
            "reason = '', error = '', phase = 'loading', phase_started = ?, preview = 0 "
            "WHERE seq = (SELECT seq FROM jobs WHERE state = 'queued' ORDER BY seq LIMIT 1) RETURNING *",
            (worker, now(), now()))
        return job_of(rows[0]) if rows else None

    def progress(self, job_id: str, attempt: int, progress: Progress, preview: int = 0) -> bool:
        """Note the progress of a running job; `preview` counts its previews. Whether it was still running."""
        return bool(self._database.write(
            "UPDATE jobs SET phase_started = CASE WHEN phase = ? THEN phase_started ELSE ? END, "
            "phase_from = CASE WHEN phase = ? THEN phase_from ELSE ? END, "
            "phase = ?, done = ?, total = ?, preview = ? WHERE id = ? AND attempt = ? AND state = 'running'",
            (progress.phase, now(), progress.phase, progress.done, progress.phase, progress.done, progress.total,
             preview, job_id, attempt)))

    def move(self, job_id: str, attempt: int, before: Sequence[str], after: str,
             reason: str = "", error: str = "") -> bool:
        """Move a job from one of the states `before` to `after`; whether it was in one of them."""
        moment = now()
        return bool(self._database.write(
            "UPDATE jobs SET state = ?, reason = ?, error = ?, ended = ?, "
            "phase = coalesce(?, phase), phase_started = coalesce(?, phase_started) "
            f"WHERE id = ? AND attempt = ? AND state IN ({', '.join('?' * len(before))})",
            (after, reason, error, moment if after in ENDED else None,
             *(("publishing", moment) if after == COMMITTING else (None, None)), job_id, attempt, *before)))

    def note(self, job: Job, task: Task) -> None:
        """Write a changed task back into its job while the job is being committed."""
        self._database.write("UPDATE jobs SET task = ? WHERE id = ? AND attempt = ? AND state = 'committing'",
                             (json.dumps(task.document()), job.id, job.attempt))

    def forget(self, job_id: str) -> bool:
        """Remove a job that has ended; whether there was one."""
        return bool(self._database.write(
            f"DELETE FROM jobs WHERE id = ? AND state IN ({', '.join('?' * len(ENDED))})", (job_id, *ENDED)))

    def requeue(self, job_id: str, attempt: int, reason: str, counts: bool = True, done: int = 0,
                total: int = 0, preview: int = 0) -> bool:
        """Put a running job back in its place in the queue, or cancel or pause it, if somebody asked for that.

        Args:
            counts: False does not count the attempt, because the job was not the cause.
            done, total, preview: its progress, if it will resume from there.
        """
        return bool(self._database.write(
            "UPDATE jobs SET state = CASE WHEN cancel_requested THEN 'cancelled' "
            "WHEN pause_requested THEN 'paused' ELSE 'queued' END, "
            "ended = CASE WHEN cancel_requested THEN ? ELSE NULL END, "
            "reason = CASE WHEN cancel_requested THEN 'Cancelled while it ran.' ELSE ? END, "
            "error = '', attempt = attempt - ?, phase = 'queued', done = ?, total = ?, preview = ?, "
            "phase_started = NULL, worker = '' "
            "WHERE id = ? AND attempt = ? AND state IN ('running', 'committing')",
            (now(), reason, 0 if counts else 1, done, total, preview, job_id, attempt)))

    def request_pause(self, job_id: str) -> Job:
        """Ask a job to pause. A waiting job is paused at once; for a running job the wish is noted.

        A job that has ended, or whose frames are made, stays as it is. Raises NotFound.
        """
        self._database.write(
            "UPDATE jobs SET pause_requested = 1, state = CASE state WHEN 'queued' THEN 'paused' ELSE state END "
            "WHERE id = ? AND state IN ('queued', 'running')", (job_id,))
        return self.get(job_id)

    def resume(self, job_id: str) -> Job:
        """Put a paused job back in its place: before every job that was accepted after it.

        If a job still runs after a wish to pause, the wish is withdrawn. Any other job stays as it is. Raises NotFound.
        """
        self._database.write(
            "UPDATE jobs SET pause_requested = 0, state = CASE state WHEN 'paused' THEN 'queued' ELSE state END "
            "WHERE id = ? AND state IN ('paused', 'running')", (job_id,))
        return self.get(job_id)

    def request_cancel(self, job_id: str) -> Job:
        """Ask a job to stop. A waiting or paused job is cancelled at once; for a running job the wish is noted.

        A job that has ended stays as it is. A job that is being committed ends as done, with a note.

        Raises:
            NotFound: there is no such job.
        """
        self._database.write(
            "UPDATE jobs SET cancel_requested = 1, "
            "reason = CASE state WHEN 'queued' THEN 'Cancelled before it began.' "
            "WHEN 'paused' THEN 'Cancelled while it was paused.' ELSE reason END, "
            "ended = CASE WHEN state IN ('queued', 'paused') THEN ? ELSE ended END, "
            "state = CASE WHEN state IN ('queued', 'paused') THEN 'cancelled' ELSE state END "
            "WHERE id = ? AND state IN ('queued', 'running', 'committing', 'paused')", (now(), job_id))
        return self.get(job_id)

    def retry(self, job_id: str, max_queued: int | None = None) -> Job:
        """Ask for a failed, interrupted or cancelled job again: a new job with a new id; the old one stays.

        Raises:
            NotFound: there is no such job.
            BadRequest: it did not end that way, or the queue is full.
        """
        job = self.get(job_id)
        if job.state not in RETRYABLE:
            raise BadRequest("request", "Only a job that failed, was interrupted or cancelled can be tried "
                                        f"again; this one is {job.state}.")
        return self.add(job.task, job.owner, max_queued)

    def command(self, kind: str, args: dict[str, Any]) -> int:
        """Ask the process that owns the library to do something; the command's id."""
        rows = self._database.change("INSERT INTO commands (kind, args, created) VALUES (?, ?, ?) RETURNING id",
                                     (kind, json.dumps(args), now()))
        return int(rows[0]["id"])

    def next_command(self) -> Command | None:
        """Claim the oldest command that waits, or None."""
        if not self._database.read("SELECT 1 FROM commands WHERE state = 'queued' LIMIT 1"):
            return None
        rows = self._database.change(
            "UPDATE commands SET state = 'running', attempt = attempt + 1 WHERE id = "
            "(SELECT id FROM commands WHERE state = 'queued' ORDER BY id LIMIT 1) RETURNING *")
        return Command.from_row(rows[0]) if rows else None

    def finish_command(self, command_id: int, result: Any = None, error: StudioError | None = None) -> None:
        """Answer a command with a JSON value, or with an error."""
        self._database.write(
            "UPDATE commands SET state = ?, result = ?, error = ?, reason = ? WHERE id = ? AND state = 'running'",
            ("failed" if error else "done", json.dumps(written(error) if error else result),
             type(error).__name__ if error else "", str(error or ""), command_id))

    def command_result(self, command_id: int) -> Any:
        """The answer to a command: a JSON value, or None while it is not done.

        Raises:
            NotFound: there is no such command.
            StudioError: the error it failed with, of the same class and with the same sentence.
        """
        rows = self._database.read("SELECT * FROM commands WHERE id = ?", (command_id,))
        if not rows:
            raise NotFound(f"There is no command {command_id}.")
        row = rows[0]
        if row["state"] == "failed":
            raise revive({"error": row["error"], "sentence": row["reason"], **(json.loads(row["result"]) or {})})
        return json.loads(row["result"]) if row["state"] == "done" else None

    def withdraw_command(self, command_id: int) -> bool:
        """Take back a command that nobody has begun; False when somebody has."""
        return bool(self._database.write(
            "UPDATE commands SET state = 'withdrawn' WHERE id = ? AND state = 'queued'", (command_id,)))

    def requeue_commands(self) -> None:
        """Queue again the commands that a crash left half done (each can be done twice). Forget old answers."""
        self._database.write("UPDATE commands SET state = 'queued' WHERE state = 'running'")
        yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat(timespec="milliseconds")
        self._database.write("DELETE FROM commands WHERE state != 'queued' AND created < ?", (yesterday,))
        self.bulk_queue.forget(yesterday)

    def _read_back(self, damaged: Path) -> str:
        """Save the unfinished jobs of a damaged file; the sentence to show."""
        saved = 0
        for row in readable_rows(damaged, "jobs"):
            try:
                job = job_of(row)
            except (StudioError, ValueError, TypeError, LookupError, AttributeError):
                continue  # this row is part of the damage
            if job.state in UNFINISHED and not isinstance(job.task, Unknown):
                self._insert(replace(job, state=PAUSED if job.state == PAUSED else QUEUED), None)
                saved += 1
        return (f"The queue's file was damaged and has been set aside as {damaged.name}. "
                f"{saved} waiting {'job was' if saved == 1 else 'jobs were'} read back from it; "
                "others may be missing. Videos are not affected.")
