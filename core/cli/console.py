"""The output of the command line: the result on stdout, as lines or one JSON document; messages on stderr."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from core.jobs.kinds.registry import KINDS
from core.jobs.queue.bulk_queue import BulkAction
from core.jobs.queue.job import Job
from core.library.folder_exchange import TransferStep
from core.library.incoming import REFUSED
from core.library.storage.trash import TrashPage
from core.settings import Settings
from core.studio import Studio

Run = Callable[[Settings, argparse.Namespace], int]
"""The function of a command; it returns the exit status."""


def say(text: str) -> None:
    """Print a message for the person on stderr."""
    print(text, file=sys.stderr, flush=True)


def show(document: Any, lines: list[str], as_json: bool) -> None:
    """Print the result: one JSON document, or lines of text."""
    if as_json:
        print(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        print("\n".join(lines))


def follow(studio: Studio, job: Job) -> Job:
    """Wait for a job and print its progress; Ctrl-C cancels it."""
    terminal, last = sys.stderr.isatty(), ""
    try:
        for now in studio.wait(job.id):
            job = now
            doing = job.state if job.state == "paused" else job.phase or job.state
            line = doing + (f" {job.done} of {job.total}" if job.total else "")
            if job.phase == "denoising":
                line += KINDS[job.kind].words.steps_of(job.task)
            if terminal:
                print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
            elif line != last:
                say(line)
            last = line
    except KeyboardInterrupt:
        studio.cancel(job.id)
        say("\nCancelled.")
        raise
    if terminal:
        say("")
    return job


def report(steps: Iterable[TransferStep], as_json: bool) -> int:
    """Follow a transfer of many videos; print the number of each outcome, and the reasons of refusals.

    Returns:
        The exit status: 1 if a video was refused.
    """
    terminal, counts = sys.stderr.isatty(), Counter[str]()
    refused: list[TransferStep] = []
    for step in steps:
        counts[step.outcome] += 1
        if step.outcome == REFUSED:
            refused.append(step)
            say(f"{step.name}: {step.reason}")
        elif terminal:
            print(f"\r\033[K{step.number} of {step.total}", end="", file=sys.stderr, flush=True)
    if terminal:
        say("")
    document = {**counts, "total": counts.total(),
                "refused": [{"name": each.name, "reason": each.reason} for each in refused]}
    show(document, [", ".join(f"{number:,} {outcome}" for outcome, number in counts.items()) or "No videos."],
         as_json)
    return 1 if refused else 0


def follow_bulk(studio: Studio, bulk: BulkAction, as_json: bool, last: bool = True) -> int:
    """Follow a bulk action to its end and print its progress. Ctrl-C stops it; the finished part remains.

    Args:
        last: False: another action follows and prints the result, unless this one did not succeed for all videos.

    Returns:
        The exit status: 1 if a video was refused, or if the action was stopped.
    """
    terminal = sys.stderr.isatty()
    try:
        for now in studio.bulk_actions.follow(bulk.id):
            bulk = now
            if terminal:
                print(f"\r\033[K{bulk.done:,} of {bulk.total:,}", end="", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        studio.bulk_actions.stop(bulk.id)
        *_, bulk = studio.bulk_actions.follow(bulk.id)
    if terminal:
        say("")
    for video_id, reason in bulk.refused:
        say(f"{video_id}: {reason}")
    status = 1 if bulk.refusals or bulk.stopped else 0
    if last or status:
        document = {"action": bulk.action, "total": bulk.total, "done": bulk.done - bulk.refusals,
                    "refused": [{"id": video_id, "reason": reason} for video_id, reason in bulk.refused]}
        words = f"{bulk.done - bulk.refusals:,} of {bulk.total:,} done{', then stopped' if bulk.stopped else ''}."
        show(document, [words], as_json)
    return status


def show_trash(page: TrashPage, as_json: bool) -> None:
    """Print the content of the trash: a line, or an object, for each video."""
    rows = [{"id": each.id, "deleted": each.deleted, "bytes": each.bytes,
             "prompt": each.video.title if each.video else None} for each in page.videos]
    lines = [f"{each.id}  deleted {each.deleted[:16].replace('T', ' ')} UTC  "
             f"{each.video.title[:60] if each.video else ''}" for each in page.videos]
    show({"total": page.total, "bytes": page.bytes, "videos": rows}, lines or ["The trash is empty."], as_json)
