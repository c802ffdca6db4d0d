"""A job as a row of the ledger's file, and back."""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from core.domain.audition import Audition
from core.domain.request import VideoRequest
from core.domain.video import Origin
from core.jobs.queue.job import Job, now

COLUMNS = tuple(field.name for field in fields(Job) if field.name != "position")


def values_of(job: Job) -> tuple[Any, ...]:
    """The values of `COLUMNS`."""
    document = {**asdict(job), "request": json.dumps(job.request.document()),
                "cancel_requested": int(job.cancel_requested), "pause_requested": int(job.pause_requested),
                "created": job.created or now(),
                "audition": json.dumps(job.audition.document()) if job.audition else "",
                "origin": json.dumps(job.origin.document()) if job.origin else ""}
    return tuple(document[name] for name in COLUMNS)


def job_of(row: Mapping[str, Any]) -> Job:
    """The job of a row.

    Raises:
        StudioError, ValueError, TypeError, LookupError, AttributeError: the row is damaged.
    """
    values = {name: row[name] for name in COLUMNS if name in row.keys()}  # noqa: SIM118 (an older file has fewer)
    values["request"] = VideoRequest.from_document(json.loads(values["request"]))
    for name, kind in (("audition", Audition), ("origin", Origin)):
        said = values.get(name)
        values[name] = kind.from_document(json.loads(said)) if said else None
    for wish in ("cancel_requested", "pause_requested"):
        values[wish] = bool(values.get(wish))
    return Job(**values, position=row["position"] if "position" in row.keys() else 0)  # noqa: SIM118
