"""A job as a row of the ledger's file, and back."""

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from core.jobs.kinds.registry import task_in
from core.jobs.queue.job import Job, now
from core.jobs.queue.schema import task_of_older

COLUMNS = tuple(field.name for field in fields(Job) if field.name != "position")


def values_of(job: Job) -> tuple[Any, ...]:
    """The values of `COLUMNS`."""
    values = {**vars(job), "task": json.dumps(job.task.document()), "cancel_requested": int(job.cancel_requested),
              "pause_requested": int(job.pause_requested), "created": job.created or now()}
    return tuple(values[name] for name in COLUMNS)


def job_of(row: Mapping[str, Any]) -> Job:
    """The job of a row; of a task that cannot be read here `core.jobs.kinds.unknown.Unknown`.

    Raises:
        StudioError, ValueError, TypeError, LookupError, AttributeError: the row is damaged.
    """
    values = {name: row[name] for name in COLUMNS if name in row}  # an older file has fewer
    if "task" not in values:
        values["task"] = task_of_older(row)
    values["task"] = task_in(values["task"])
    for wish in ("cancel_requested", "pause_requested"):
        values[wish] = bool(values.get(wish))
    return Job(**values, position=row.get("position", 0))
