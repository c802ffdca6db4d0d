"""Bulk actions on many videos, in libraries of several sizes: the cost of a video must not grow with the library."""

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.jobs.dispatch.bulk_runner import BulkRunner
from core.jobs.queue.ledger import Ledger
from core.library.library import Library
from core.web.archive import archive, members
from core.web.media import slug
from scripts.bench_parts.synthetic import fill

COUNTS = (2000, 20_000)
CHOSEN = 500
ACTIONS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("tag", "change", {"add": ["chosen"]}), ("delete", "delete", {}), ("restore", "restore", {}))


def measure(models_dir: Path, repeats: int, counts: tuple[int, ...] = COUNTS) -> dict[str, Any]:
    """The bulk actions at each count; `models_dir` and `repeats` are not used."""
    figures: dict[str, Any] = {}
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="t2v-bench-") as folder:
            ids = fill(Path(folder), count)[-CHOSEN:]
            print(f"  {count:,} videos are there", file=sys.stderr, flush=True)
            for name, value in _actions(Path(folder), ids):
                figures[f"{count:,}: {name}"] = value
    return figures


def _actions(data_dir: Path, ids: list[str]) -> Iterator[tuple[str, float]]:
    ledger, library = Ledger(data_dir / "jobs.sqlite"), Library(data_dir, writable=True)
    work = BulkRunner(ledger.bulk_queue, library)
    for name, action, args in ACTIONS:
        began, busy = time.perf_counter(), time.process_time()
        ledger.bulk_queue.add(action, ids, args)
        yield f"{name} {len(ids)}: accepted, ms", (time.perf_counter() - began) * 1000
        pieces, piece = [], time.perf_counter()
        while work.tick():
            pieces.append(time.perf_counter() - piece)
            piece = time.perf_counter()
        yield f"{name}: each video, ms", (time.perf_counter() - began) * 1000 / len(ids)
        yield f"{name}: each video, ms of processor", (time.process_time() - busy) * 1000 / len(ids)
        yield f"{name}: the longest piece, ms", max(pieces) * 1000
    began, size = time.perf_counter(), 0
    for piece in archive(members(library, ids, slug)):
        size += len(piece)
    yield f"archive of {len(ids)}: each video, ms", (time.perf_counter() - began) * 1000 / len(ids)
    library.close()
    ledger.close()
