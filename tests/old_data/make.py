"""Makes `0.1.0.zip`, a data folder as version 0.1.0 of the studio left it, and `0.1.0.json`, what that version said
was in it. `tests/test_old_data.py` opens it with the version of today.

It must be run from a checkout of version 0.1.0 (commit d7b8e80), whose code it calls; today's has other names:

    git worktree add ../studio-0.1.0 d7b8e80 && cd ../studio-0.1.0
    ln -s ../text-to-video-studio/.venv .venv            # or a virtual environment of its own
    PYTHONPATH=.:tests .venv/bin/python ../text-to-video-studio/tests/old_data/make.py

It takes half a minute. Ids and times are new each time, the roles in `0.1.0.json` stay. The weights are those of
`tests/tiny.py`, which writes the same bytes everywhere, so they are no part of it.
"""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from tiny import make_checkpoint

import core
from core.jobs.ledger import Job
from core.library import encoder
from core.library.query import Query
from core.request import VideoRequest
from core.settings import Settings
from core.studio import Studio, open_studio

VERSION = "0.1.0"
REQUEST = VideoRequest("a red ball", num_frames=4, num_inference_steps=3, fps=8, width=32, height=32, seed=7)
LONG = replace(REQUEST, prompt="a blue ball that takes its time", num_inference_steps=60)
LEFT_BEHIND = ("studio.lock", "searches.lock", "worker.log", "jobs.sqlite-wal", "jobs.sqlite-shm", "scratch")


def main() -> None:
    if core.__version__ != VERSION:
        sys.exit(f"This is version {core.__version__}; run it from a checkout of {VERSION}.")
    os.environ["OMP_NUM_THREADS"] = "1"  # part of what a receipt says; the test asks for the same
    with tempfile.TemporaryDirectory() as temporary:
        models, data = Path(temporary) / "models", Path(temporary) / "data"
        make_checkpoint(models / "tiny")
        settings = Settings.from_env({}, data_dir=data, models_dir=models, model="tiny", device="cpu",
                                     min_free_mb=0)
        with open_studio(settings) as studio:
            roles = lived_in(studio, Path(temporary))
        with open_studio(settings, "visit") as studio:
            roles |= left_to_do(studio, roles)
            said = told(studio, roles)
        tidy(data)
        no_paths(data, Path(temporary))
        pack(data, said)


def lived_in(studio: Studio, temporary: Path) -> dict[str, str]:
    """What was asked for and done; ids by role."""
    first = finished(studio, studio.submit(REQUEST))
    again = finished(studio, studio.regenerate(first))
    remix = finished(studio, studio.submit(
        replace(REQUEST, prompt="a red ball at sea", negative_prompt="rain", scheduler="euler", mode="fast",
                num_inference_steps=5), "ann", parent=first, kind="remix"))
    trashed = finished(studio, studio.submit(replace(REQUEST, seed=8)))
    outside = studio.transfer.import_mp4(foreign(temporary / "holiday.mp4"), unknown=True).video.id
    assert studio.video(again).verdict.verdict == "identical"
    studio.change(first, tags=("ball", "to redo"))
    studio.change(remix, tags=("Meer & Küste",), favorite=True)
    studio.change(outside, tags=("holiday",))
    assert studio.delete(trashed)
    studio.searches.save("Balls to redo", Query(text="ball", tags=("to redo",), sort="oldest"))
    audition = finished(studio, studio.audition(replace(REQUEST, num_inference_steps=6), seeds=4))

    cancelled = studio.submit(replace(LONG, seed=11)).id
    until(lambda: studio.job(cancelled).done >= 5)
    studio.cancel(cancelled)
    until(lambda: studio.job(cancelled).state == "cancelled")

    paused = studio.submit(LONG).id
    make_checkpoint(studio.settings.models_dir / "lost", channels=4)
    failed = studio.submit(replace(REQUEST, model="lost")).id
    until(lambda: studio.job(paused).done >= 10)
    shutil.rmtree(studio.settings.models_dir / "lost")
    studio.pause(paused)
    until(lambda: studio.job(paused).state == "paused" and studio.job(failed).state == "failed")
    assert 10 <= studio.job(paused).done < 50, "it was to be paused in the middle"
    return {"first": first, "again": again, "remix": remix, "trashed": trashed, "outside": outside,
            "audition": audition, "cancelled": cancelled, "paused": paused, "failed": failed}


def left_to_do(studio: Studio, roles: dict[str, str]) -> dict[str, str]:
    """What waits, because nobody leads."""
    waiting = studio.submit(replace(REQUEST, prompt="a green ball", seed=2**62 + 1), "ann").id
    waiting_audition = studio.audition(replace(REQUEST, prompt="a blue ball", num_inference_steps=6), seeds=2,
                                       num_inference_steps=2).id
    waiting_again = studio.regenerate(roles["remix"]).id
    studio.ledger.bulks.add("change", (roles["first"], roles["outside"]),
                            {"add": ["seen"], "remove": ["to redo"], "favorite": None})
    return {"waiting": waiting, "waiting audition": waiting_audition, "waiting again": waiting_again}


def told(studio: Studio, roles: dict[str, str]) -> dict:
    """What this version says of all of it."""
    assert studio.verify() == [] and studio.notices() == ()
    return {
        "version": VERSION, "roles": roles,
        "jobs": [job_document(job) for job in studio.jobs(oldest_first=True)],
        "videos": [studio.video(each).document() for each in studio.many.found(Query(sort="oldest"))],
        "trash": [{"id": each.id, "deleted": each.deleted, "video": each.video.document()}
                  for each in studio.many.trash().videos],
        "searches": [{"name": saved.name, "query": saved.query.document(),
                      "finds": list(studio.many.found(saved.query))} for saved in studio.searches.all()],
    }


def job_document(job: Job) -> dict:
    return {**asdict(job), "request": job.request.document(),
            "audition": job.audition.document() if job.audition else None,
            "origin": job.origin.document() if job.origin else None}


def foreign(path: Path) -> Path:
    """An MP4 as another program makes it."""
    t, y, x = np.meshgrid(np.arange(8), np.arange(32), np.arange(32), indexing="ij")
    waves = [np.sin(x / 20 + t / 5), np.sin(y / 24 - t / 6), np.sin((x + y) / 30 + t / 7)]
    raw = (np.stack(waves, axis=-1) * 100 + 128).astype(np.uint8)
    ffmpeg = encoder.ffmpeg_version().partition("(")[2].rstrip(")")
    subprocess.run([ffmpeg, "-y", "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "32x32", "-r", "8",
                    "-i", "-", "-pix_fmt", "yuv420p", path], input=raw.tobytes(), check=True)
    return path


def finished(studio: Studio, job: Job) -> str:
    until(lambda: studio.job(job.id).has_ended)
    assert studio.job(job.id).state == "done", studio.job(job.id).reason
    return job.id


def until(true: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.01)


def tidy(data: Path) -> None:
    """Leave what a closed studio needs, and only that."""
    connection = sqlite3.connect(data / "jobs.sqlite")
    assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    connection.close()
    for name in LEFT_BEHIND:
        path = data / name
        assert not name.endswith("-wal") or not path.exists() or path.stat().st_size == 0
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for folder in sorted((path for path in data.rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def no_paths(data: Path, temporary: Path) -> None:
    """Refuse a folder in which a path of this machine stands."""
    for path in filter(Path.is_file, data.rglob("*")):
        content = path.read_bytes()
        for text in (str(temporary), str(Path.cwd()), str(Path.home()), "/home/", "/Users/"):
            assert text == "/" or text.encode() not in content, f"{path.name} names {text}"


def pack(data: Path, said: dict) -> None:
    here = Path(__file__).resolve().parent
    (here / f"{VERSION}.json").write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    with zipfile.ZipFile(here / f"{VERSION}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for path in sorted(filter(Path.is_file, data.rglob("*"))):
            file.write(path, path.relative_to(data).as_posix())


if __name__ == "__main__":
    main()
