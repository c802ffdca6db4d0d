"""Moves a complete library to another studio: export, import, and a second run of both."""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from core.library.folder_exchange import TransferStep
from core.library.incoming import REFUSED
from core.library.search.query import Query
from core.settings import Settings
from core.studio import open_studio
from scripts.bench_parts.synthetic import fill

COUNTS = (1000,)


def measure(models_dir: Path, repeats: int, counts: tuple[int, ...] = COUNTS) -> dict[str, Any]:
    """Milliseconds for each video at each count, and for a copy of the same files; `repeats` is not used."""
    figures: dict[str, Any] = {}
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="t2v-bench-") as folder:
            for name, value in _moved(Path(folder), models_dir, count):
                figures[f"{count:,}: {name}"] = value
    return figures


def _moved(folder: Path, models_dir: Path, count: int) -> Iterator[tuple[str, float]]:
    here, out, there = (folder / name for name in ("here", "out", "there"))
    here.mkdir()
    fill(here, count)
    print(f"  {count:,} videos are there", file=sys.stderr, flush=True)
    taken: dict[str, tuple[float, float]] = {}
    with open_studio(Settings.from_env(data_dir=here, models_dir=models_dir), "visit") as studio:
        for name in ("export", "export, second run"):
            taken[name] = _time(lambda: studio.transfer.export(Query(), out), count)
    with open_studio(Settings.from_env(data_dir=there, models_dir=models_dir), "visit") as studio:
        for name in ("import", "import, second run"):
            taken[name] = _time(lambda: studio.transfer.import_folder(out), count)
    taken["copying the same files"] = _time(lambda: _copied(out, folder / "copy"), count)
    for name, (wall, cpu) in taken.items():
        yield f"{name}, each video, ms", wall
        yield f"{name}, each video, ms of processor", cpu
    for name in ("export", "import"):
        yield f"{name} / copying, of processor", taken[name][1] / taken["copying the same files"][1]


def _time(action: Callable[[], Iterable[TransferStep]], count: int) -> tuple[float, float]:
    """Milliseconds for each video: of the clock, and of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    refused = [step for step in action() if step.outcome == REFUSED]
    assert not refused, refused[0]
    return (time.perf_counter() - wall) / count * 1000, (time.process_time() - cpu) / count * 1000


def _copied(source: Path, target: Path) -> list[TransferStep]:
    """Copy each MP4 and sidecar and force it to the disk, without any checks."""
    for path in sorted(source.rglob("*.*")):
        if path.is_file():
            to = target / path.relative_to(source)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to)
            with to.open("rb") as file:
                os.fsync(file.fileno())
    return []
