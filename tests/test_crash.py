"""kill -9 of the studio's process at every point between accepting a job and its end: the promises hold.

The points are data (core/faults.py). At each point, a process with two jobs in its queue kills itself.
Then the studio is opened again and finishes the rest, and everything is counted.
"""

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import drawn
import pytest
import samples
from drawn import alive, until, video_of

from core import faults
from core.domain.recipe import Recipe
from core.domain.video import Video
from core.jobs.dispatch.dispatcher import Dispatcher
from core.jobs.executors.inline import InlineExecutor
from core.jobs.executors.process import ProcessExecutor
from core.jobs.queue.ledger import Ledger
from core.jobs.worker.host import WorkerHost
from core.jobs.worker.renderer import Renderer
from core.library.library import Library
from core.library.media import clip
from core.library.search.query import Query
from core.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
TINY = Recipe("a red ball", "", "tiny", 4, 40, 5.0, 8, 7, 32, 32, "ddim", "exact")


def settings_for(folder, models_dir=None):
    return Settings.from_env({}, data_dir=folder, models_dir=models_dir or folder / "models", model="tiny",
                             device="cpu", preload=False)


def run_all(folder, executor=None, models_dir=None):
    """Open the studio's rooms on `folder` and run the queue until it is empty."""
    ledger, library = Ledger(folder / "jobs.sqlite"), Library(folder, writable=True)
    executor = executor or InlineExecutor(
        lambda on_news: WorkerHost(lambda: Renderer(drawn.DrawnEngine(folder)), on_news))
    dispatcher = Dispatcher(ledger, library, executor, settings_for(folder, models_dir))
    dispatcher.start()
    try:
        until(lambda: not ledger.list(("queued", "running", "committing")), 180)
        assert dispatcher.failure is None
    finally:
        dispatcher.close()
        library.close()
        ledger.close()


CHILD = "import sys, pathlib; sys.path[:0] = ['tests', '']; import test_crash\n"


def child(code, *arguments, **environ):
    settings = settings_for(Path(arguments[0]), Path(arguments[1]) if len(arguments) > 1 else None)
    return subprocess.Popen([sys.executable, "-c", CHILD + code, *map(str, arguments)], cwd=ROOT,
                            env={**settings.process_environ(), **environ}, stderr=subprocess.PIPE, text=True)


def check_promises(folder, ids, parents=(), attempts=(1, 2)):
    """Nothing accepted is lost, nothing is there twice, no file without its sidecar, every video as asked."""
    ledger, library = Ledger(folder / "jobs.sqlite"), Library(folder, writable=True)
    try:
        assert ledger.counts() == {"done": len(ids)}
        assert library.verify() == []
        files = {path.name.partition(".")[0] for path in (folder / "library").rglob("*.mp4")}
        sidecars = {path.stem for path in (folder / "library").rglob("*.json")}
        rows = [video.id for video in samples.found(library, Query(page_size=50))]
        assert files == sidecars == {*ids, *parents}
        assert sorted(rows) == sorted(files)
        assert not list(folder.rglob("*.part"))
        assert not list((folder / "previews").glob("*"))
        for job_id in ids:
            job, video = ledger.get(job_id), library.get(job_id)
            made = clip.read(library.mp4_path(job_id))
            assert job.attempt in attempts
            recipe = job.task.recipe
            assert video.recipe == recipe
            assert made.frames.shape == (recipe.num_frames, recipe.height, recipe.width, 3)
            assert Video.from_document(json.loads(library.sidecar_path(job_id).read_text())) == video
            if job.task.relation == "regenerate":
                assert video.verdict.verdict == "identical"
    finally:
        library.close()
        ledger.close()


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A library with one video, made once, and its id."""
    folder = tmp_path_factory.mktemp("template")
    ledger = Ledger(folder / "jobs.sqlite")
    parent = ledger.add(video_of(replace(drawn.RECIPE, num_inference_steps=2)))
    ledger.close()
    run_all(folder)
    return folder, parent.id


@pytest.fixture
def folder(template, tmp_path):
    """A data folder with that video, and a fresh queue of two jobs.

    The jobs are a regeneration, and another video that takes long enough to be watched.
    """
    shutil.copytree(template[0] / "library", tmp_path / "library")
    shutil.copy(template[0] / "index.json", tmp_path)
    ledger = Ledger(tmp_path / "jobs.sqlite")
    ledger.add(video_of(replace(drawn.RECIPE, num_inference_steps=2), template[1], "regenerate"))
    ledger.add(video_of(replace(drawn.RECIPE, prompt="slowly", seed=8, num_frames=6, num_inference_steps=10)))
    ledger.close()
    return tmp_path


def ids_of(folder):
    ledger = Ledger(folder / "jobs.sqlite")
    ids = [job.id for job in ledger.list()]
    ledger.close()
    return ids


@pytest.mark.parametrize("point", [*faults.JOB_POINTS, *faults.PUBLISH])
def test_kill_9_harms_nothing_at(folder, template, point):
    ids = ids_of(folder)
    process = child("test_crash.run_all(pathlib.Path(sys.argv[1]))", folder, T2V_FAULT=point)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == -signal.SIGKILL, f"{point} was not reached: {errors}"
    run_all(folder)
    check_promises(folder, ids, [template[1]])


def test_without_a_fault_the_same_process_ends_well(folder, template):
    ids = ids_of(folder)
    process = child("test_crash.run_all(pathlib.Path(sys.argv[1]))", folder)
    assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == 0
    check_promises(folder, ids, [template[1]], attempts=(1,))


def test_a_studio_killed_again_and_again_sets_a_job_aside_with_a_reason(tmp_path):
    ledger = Ledger(tmp_path / "jobs.sqlite")
    job = ledger.add(drawn.TASK)
    for _ in range(2):
        process = child("test_crash.run_all(pathlib.Path(sys.argv[1]))", tmp_path, T2V_FAULT="jobs:started")
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
    run_all(tmp_path)
    ended = ledger.get(job.id)
    ledger.close()
    assert (ended.state, ended.attempt) == ("interrupted", 2)
    assert ended.reason.startswith("The studio stopped while it ran.")


def test_with_the_real_engine_in_its_own_process_the_worker_dies_too_and_the_frames_are_the_same(
        tmp_path, models_dir):
    ledger = Ledger(tmp_path / "jobs.sqlite")
    ids = [ledger.add(video_of(recipe)).id for recipe in (TINY, replace(TINY, num_inference_steps=3))]
    code = ("from core.jobs.executors.process import ProcessExecutor\n"
            "data, models = map(pathlib.Path, sys.argv[1:])\n"
            "executor = ProcessExecutor(test_crash.settings_for(data, models))\n"
            "(data / 'pid').write_text(str(executor.pid))\n"
            "test_crash.run_all(data, executor, models)")
    process = child(code, tmp_path, models_dir, T2V_FAULT="jobs:progress")
    process.communicate(timeout=180)
    assert process.returncode == -signal.SIGKILL
    until(lambda: not alive(int((tmp_path / "pid").read_text())), 5)
    assert ledger.get(ids[0]).state == "running"
    again = ledger.add(video_of(TINY, ids[0], "regenerate")).id
    ledger.close()
    run_all(tmp_path, ProcessExecutor(settings_for(tmp_path, models_dir)), models_dir)
    check_promises(tmp_path, [*ids, again])
