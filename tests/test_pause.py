"""Pause, resume, survive: a job resumes where it stopped, for any reason, and makes the same frames."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import drawn
import pytest
from drawn import AT_ONCE, head, until
from house import House, settings_for
from older_ledger import make_older

from core import faults
from core.domain.progress import Progress
from core.domain.recipe import Recipe
from core.domain.request import VideoRequest
from core.domain.video import new_id
from core.families.registry import SCHEDULERS
from core.jobs.executors.inline import InlineExecutor
from core.jobs.executors.process import ProcessExecutor
from core.jobs.protocol import as_text
from core.jobs.queue.database import SCHEMA
from core.jobs.queue.job_files import JobFiles
from core.jobs.queue.ledger import Ledger
from core.jobs.worker.checkpoint_cadence import Cadence, LatestCheckpoint
from core.jobs.worker.host import WorkerHost
from core.jobs.worker.renderer import Renderer

ROOT = Path(__file__).resolve().parent.parent
STEPS = 60
SLOW = drawn.video_of(replace(drawn.RECIPE, prompt="slowly", num_inference_steps=STEPS))


def inline(folder, cadence=AT_ONCE):
    return InlineExecutor(
        lambda on_news: WorkerHost(lambda: Renderer(drawn.DrawnEngine(folder)), on_news, cadence))


def real_worker():
    """The real engine in a separate process, which makes a checkpoint after every second step."""
    code = ("from core.jobs.worker.checkpoint_cadence import Cadence; "
            "from core.jobs.worker.process import build_renderer, serve; "
            "serve(build_renderer, Cadence(steps=2, seconds=0.0))")
    return sys.executable, "-c", code


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path, executor=inline(tmp_path))
    yield house
    house.close()


def steps_made(folder, seed=SLOW.recipe.seed):
    """Every step that was ever made for that seed, in the order in which they were made."""
    return [int(line) for line in (folder / f"steps of {seed}").read_text().split()]


def checkpoint_of(folder, job):
    return folder / "checkpoints" / f"{job.id}.ckpt"


def paused(house, job):
    house.ledger.request_pause(job.id)
    return house.turn(lambda: (now := house.ledger.get(job.id)).state == "paused" and now)


# Pausing


def test_a_paused_job_frees_the_worker_for_the_next_one_and_resumes_where_it_was(house, tmp_path):
    job, next_one = house.ledger.add(SLOW), house.add(seed=8)
    house.await_progress(job, 3)
    began = time.monotonic()
    held = paused(house, job)
    assert time.monotonic() - began < 2
    assert held.done >= 3
    assert (held.total, held.attempt, held.ended, held.reason) == (STEPS, 0, None, "")
    assert steps_made(tmp_path) == list(range(1, held.done + 1)), "it stopped after the step it was at"
    assert checkpoint_of(tmp_path, job).read_bytes() == b"7 %d" % held.done
    assert house.finish(next_one).state == "done"
    assert house.ledger.get(job.id).state == "paused"
    house.ledger.resume(job.id)
    done = house.finish(job)
    assert (done.state, done.attempt, done.reason) == ("done", 1, f"Continued after step {held.done}.")
    assert steps_made(tmp_path) == list(range(1, STEPS + 1)), "no step was made twice"
    assert list((tmp_path / "checkpoints").iterdir()) == list((tmp_path / "previews").iterdir()) == []


def test_a_paused_job_shows_how_it_looks_and_its_picture_goes_when_it_is_cancelled(house, tmp_path):
    job = house.ledger.add(SLOW)
    house.await_progress(job, 2)
    held = paused(house, job)
    preview = tmp_path / "previews" / f"{job.id}.webp"
    assert held.preview > 0
    assert preview.read_bytes().startswith(b"RIFF picture")
    cancelled = house.ledger.request_cancel(job.id)
    assert (cancelled.state, cancelled.reason) == ("cancelled", "Cancelled while it was paused.")
    assert cancelled.ended
    house.dispatcher.tick()
    assert not preview.exists()
    assert not checkpoint_of(tmp_path, job).exists()


def test_a_job_can_be_paused_again_and_again(house, tmp_path):
    job, reached = house.ledger.add(SLOW), 0
    for _ in range(4):
        house.await_progress(job, reached + 2)
        held = paused(house, job)
        assert held.done > reached
        reached = held.done
        house.ledger.resume(job.id)
    assert house.finish(job).state == "done"
    assert steps_made(tmp_path) == list(range(1, STEPS + 1))


def test_a_resumed_job_stands_before_all_that_was_accepted_after_it(house):
    first = house.ledger.add(SLOW)
    later = [house.add("slowly", seed=seed, num_inference_steps=20) for seed in (8, 9)]
    house.await_progress(first)
    paused(house, first)
    house.turn(lambda: house.ledger.get(later[0].id).state == "running")
    assert house.ledger.resume(first.id).position == 1
    assert house.ledger.get(later[1].id).position == 2
    ended = [house.finish(job) for job in (later[0], first, later[1])]
    assert sorted(ended, key=lambda job: job.started) == ended


def test_a_waiting_job_is_paused_at_once_and_does_not_run(house):
    running, waiting, last = house.ledger.add(SLOW), house.add(seed=8), house.add(seed=9)
    house.await_progress(running)
    assert (house.ledger.request_pause(waiting.id).state, house.ledger.get(last.id).position) == ("paused", 1)
    house.finish(running)
    house.finish(last)
    assert house.ledger.get(waiting.id).attempt == 0
    house.ledger.resume(waiting.id)
    assert house.finish(waiting).state == "done"


def test_a_wish_to_pause_that_is_withdrawn_in_time_costs_nothing(house, tmp_path):
    job = house.ledger.add(SLOW)
    house.await_progress(job)
    house.ledger.request_pause(job.id)
    assert house.ledger.resume(job.id).state == "running"
    assert house.finish(job).state == "done"
    assert steps_made(tmp_path) == list(range(1, STEPS + 1))


def test_a_wish_that_is_withdrawn_when_the_worker_has_it_puts_the_job_back_and_it_resumes(house, tmp_path):
    job = house.ledger.add(SLOW)
    house.await_progress(job)
    house.ledger.request_pause(job.id)
    house.dispatcher.tick()  # the worker is told
    house.ledger.resume(job.id)
    done = house.finish(job)
    assert (done.state, done.attempt) == ("done", 1)
    assert steps_made(tmp_path) == list(range(1, STEPS + 1))


def test_cancel_wins_over_pause(house):
    job = house.ledger.add(SLOW)
    house.await_progress(job)
    house.ledger.request_pause(job.id)
    house.ledger.request_cancel(job.id)
    assert house.finish(job).state == "cancelled"


def test_a_pause_that_comes_too_late_is_said_and_the_video_is_kept(house):
    job = house.add()
    house.turn(lambda: house.ledger.get(job.id).state == "running")
    until(lambda: house.executor.call("inline", "status").finished)  # made, and not yet taken
    house.ledger.request_pause(job.id)
    done = house.finish(job)
    assert (done.state, done.reason) == ("done", "It was finished before the pause arrived.")
    assert house.ledger.request_pause(job.id) == house.ledger.resume(job.id) == done


def test_a_job_paused_while_its_model_loads_has_made_no_step(house, tmp_path):
    job = house.add(model="large")
    house.turn(lambda: house.ledger.get(job.id).state == "running")
    held = paused(house, job)
    assert (held.done, held.total) == (0, 0)
    assert not checkpoint_of(tmp_path, job).exists()
    house.ledger.resume(job.id)
    assert house.finish(job).state == "done"


def test_a_job_paused_again_while_its_model_loads_keeps_its_place(tmp_path):
    job = None
    for _ in range(2):  # the second worker has no model yet
        house = House(tmp_path, executor=inline(tmp_path))
        if job is None:
            job = house.add("slowly", model="large", num_inference_steps=STEPS)
            house.await_progress(job, 4)
        else:
            house.ledger.resume(job.id)
            house.turn(lambda house=house, job=job: house.ledger.get(job.id).state == "running")
        held = paused(house, job)
        assert held.done >= 4
        assert held.total == STEPS
        house.close()
    assert checkpoint_of(tmp_path, job).read_bytes() == b"7 %d" % held.done


# Surviving


def test_a_paused_job_is_still_paused_after_a_restart_and_then_resumes(tmp_path):
    house = House(tmp_path, executor=inline(tmp_path))
    job = house.ledger.add(SLOW)
    house.await_progress(job, 3)
    held = paused(house, job)
    house.close()
    again = House(tmp_path, executor=inline(tmp_path))
    other = again.finish(again.add(seed=8))
    assert other.state == "done"
    assert again.ledger.get(job.id) == held
    assert (tmp_path / "previews" / f"{job.id}.webp").is_file()
    again.ledger.resume(job.id)
    assert again.finish(job).reason == f"Continued after step {held.done}."
    assert steps_made(tmp_path) == list(range(1, STEPS + 1))
    again.close()


def test_a_studio_that_is_closed_in_mid_job_resumes_from_the_last_checkpoint(tmp_path):
    house = House(tmp_path, executor=inline(tmp_path))
    job = house.ledger.add(SLOW)
    house.await_progress(job, 3)
    house.close()
    kept = int(checkpoint_of(tmp_path, job).read_bytes().split()[1])
    time.sleep(0.2)  # the thread of the worker that was left behind makes the step it is at
    made = steps_made(tmp_path)
    again = House(tmp_path, executor=inline(tmp_path))
    done = again.finish(job)
    assert (done.state, done.attempt, done.reason) == ("done", 1, f"Continued after step {kept}.")
    assert steps_made(tmp_path)[len(made):] == list(range(kept + 1, STEPS + 1))
    again.close()


def test_kill_9_of_the_real_worker_in_mid_job_costs_a_few_steps_and_not_one_bit(tmp_path, models_dir):
    settings = settings_for(tmp_path, models_dir)
    house = House(tmp_path, settings, ProcessExecutor(settings, real_worker()))
    try:
        for key in SCHEDULERS:
            kill_and_compare(house, Recipe("a red ball", "", "tiny", 4, 60, 5.0, 8, 7, 32, 32, key, "exact"))
    finally:
        house.close()


def kill_and_compare(house, recipe):
    calm = house.finish(house.ledger.add(drawn.video_of(recipe)), 180)
    assert calm.state == "done", calm.reason
    job = house.ledger.add(drawn.video_of(recipe, calm.id, "regenerate"))
    house.turn(lambda: house.ledger.get(job.id).done >= 5 and checkpoint_of(house.folder, job).is_file(), 60)
    os.kill(house.executor.pid, signal.SIGKILL)
    seen = []

    def look():
        now = house.ledger.get(job.id)
        if now.attempt == 2 and now.phase == "denoising":
            seen.append(now.done)
        return now.has_ended and now

    done = house.turn(look, 180)
    assert (done.state, done.attempt) == ("done", 2), done.reason
    begun = int(done.reason.removeprefix("Continued after step ").removesuffix(" of 60."))
    assert begun >= 2
    assert min(seen, default=begun + 1) > begun, "the first attempt's steps were not made again"
    child, parent = house.library.get(job.id), house.library.get(calm.id)
    assert child.verdict.verdict == "identical"
    assert child.verdict.causes == ()
    assert child.receipt == parent.receipt
    assert not checkpoint_of(house.folder, job).exists()


@pytest.mark.parametrize("damage", ["cut", "zeros", "of another job"])
def test_a_damaged_checkpoint_is_discarded_and_the_job_begins_again(house, tmp_path, damage):
    job = house.ledger.add(SLOW)
    house.await_progress(job, 3)
    held = paused(house, job)
    checkpoint_of(tmp_path, job).write_bytes({"cut": b"7", "zeros": bytes(4), "of another job": b"8 3"}[damage])
    house.ledger.resume(job.id)
    done = house.finish(job)
    assert done.state == "done"
    assert done.reason.startswith("The job began again with its first step")
    assert steps_made(tmp_path) == [*range(1, held.done + 1), *range(1, STEPS + 1)]


def test_without_its_checkpoint_a_job_begins_again(house, tmp_path):
    job = house.ledger.add(SLOW)
    house.await_progress(job, 3)
    held = paused(house, job)
    checkpoint_of(tmp_path, job).unlink()
    house.ledger.resume(job.id)
    assert house.finish(job).state == "done"
    assert steps_made(tmp_path) == [*range(1, held.done + 1), *range(1, STEPS + 1)]


def test_a_checkpoint_that_cannot_be_kept_harms_nothing(house, tmp_path):
    (tmp_path / "checkpoints").write_text("a file where a folder has to be")
    job = house.ledger.add(SLOW)
    house.await_progress(job, 3)
    paused(house, job)
    house.ledger.resume(job.id)
    assert house.finish(job).state == "done"


CHILD = """
import pathlib, sys
sys.path[:0] = ["tests", ""]
import test_pause
test_pause.run_until_paused(pathlib.Path(sys.argv[1]))
"""


def run_until_paused(folder):
    """A studio that pauses its job after some steps, then ends."""
    house = House(folder, executor=inline(folder))
    (job,) = house.ledger.list()
    house.await_progress(job, 3)
    paused(house, job)
    house.close()


@pytest.mark.parametrize("point", faults.PAUSE_POINTS)
def test_kill_9_of_the_studio_harms_nothing_at(tmp_path, point):
    ledger = Ledger(tmp_path / "jobs.sqlite")
    job = ledger.add(SLOW)
    settings = settings_for(tmp_path)
    child = subprocess.run([sys.executable, "-c", CHILD, str(tmp_path)], cwd=ROOT, check=False, timeout=60,
                           env={**settings.process_environ(), "T2V_FAULT": point}, stderr=subprocess.PIPE)
    assert child.returncode == -signal.SIGKILL, child.stderr
    kept = int(checkpoint_of(tmp_path, job).read_bytes().split()[1])
    made = steps_made(tmp_path)
    house = House(tmp_path, executor=inline(tmp_path))
    house.dispatcher.tick()
    now = house.ledger.get(job.id)
    asked = point != "jobs:checkpoint"  # the wish to pause was on the disk already
    assert now.state == ("paused" if asked else "running")
    assert now.attempt == (0 if point == "jobs:paused" else 1 if asked else 2)
    house.ledger.resume(job.id)
    assert house.finish(job).state == "done"
    assert steps_made(tmp_path)[len(made):] == list(range(kept + 1, STEPS + 1))
    assert house.library.verify() == []
    assert list((tmp_path / "checkpoints").iterdir()) == list((tmp_path / "previews").iterdir()) == []
    house.close()
    ledger.close()


def test_a_worker_that_is_lost_before_it_could_pause_leaves_the_job_paused_at_its_last_checkpoint(tmp_path):
    settings = settings_for(tmp_path)
    house = House(tmp_path, settings, ProcessExecutor(settings, drawn.command()))
    try:
        job = house.ledger.add(SLOW)
        house.await_progress(job, 3)
        house.ledger.request_pause(job.id)
        os.kill(house.executor.pid, signal.SIGKILL)
        held = house.turn(lambda: (now := house.ledger.get(job.id)).state == "paused" and now)
        assert held.attempt == 1, "it was begun, and lost"
        house.ledger.resume(job.id)
        done = house.finish(job)
        assert (done.state, done.attempt) == ("done", 2)
        assert "Continued after step" in done.reason
    finally:
        house.close()


# The parts


def test_a_checkpoint_is_due_after_some_steps_and_some_seconds_whichever_is_later():
    quick, slow = LatestCheckpoint(Cadence(steps=3, seconds=0.0)), LatestCheckpoint(Cadence(steps=1, seconds=60.0))
    due = []
    for step in range(11, 21):  # it resumed after step 10
        if quick.is_due(step):
            quick.keep(step, lambda step=step: b"%d" % step)
            due.append(step)
        assert not slow.is_due(step)
    assert due == [13, 16, 19]
    assert (quick.latest, quick.seq) == (b"19", 3)


def test_the_bytes_of_a_checkpoint_reach_another_process_and_come_back(tmp_path):
    executor = ProcessExecutor(settings_for(tmp_path), drawn.command())
    try:
        until(lambda: executor.call("worker", "status").state == "idle")
        about = head(SLOW)
        executor.call("worker", "start", about["id"], 1, SLOW.document(), about, as_text(b"7 20"))
        until(lambda: executor.call("worker", "status").checkpoint_seq)
        assert executor.call("worker", "checkpoint", new_id()) is None
        step = int(executor.call("worker", "checkpoint", about["id"]).split()[1])
        assert step > 20
        executor.call("worker", "pause", about["id"], 2)  # of an attempt that is no longer
        executor.call("worker", "pause", about["id"], 1)
        until(lambda: executor.call("worker", "status").finished)
        outcome = executor.call("worker", "take", about["id"], 1)
        assert (outcome.kind, outcome.total) == ("paused", STEPS)
        assert outcome.checkpoint == b"7 %d" % outcome.done
        assert executor.call("worker", "status").state == "idle"
    finally:
        executor.close()


def test_a_large_checkpoint_for_a_frozen_worker_does_not_hang_the_studio(tmp_path):
    executor = ProcessExecutor(settings_for(tmp_path), drawn.command())
    try:
        until(lambda: executor.call("worker", "status").state == "idle")
        os.kill(executor.pid, signal.SIGSTOP)
        about, began = head(), time.monotonic()
        with pytest.raises(Exception, match="no answer"):
            executor.call("worker", "start", about["id"], 1, SLOW.document(), about, as_text(bytes(1_000_000)),
                          timeout=0.2)
        assert time.monotonic() - began < 3
        executor.kill("worker")
        until(lambda: executor.call("worker", "status").state == "idle")
    finally:
        executor.close()


def test_job_files_are_complete_or_not_there(tmp_path, caplog):
    files = JobFiles(tmp_path / "checkpoints", ".ckpt")
    assert (files.read("a"), files.job_ids()) == (b"", set())
    assert files.keep("a", b"1")
    assert files.keep("a", b"2")
    (tmp_path / "checkpoints" / "b.ckpt.part").write_bytes(b"half")
    (tmp_path / "checkpoints" / "other.txt").write_bytes(b"not ours")
    assert (files.read("a"), files.job_ids()) == (b"2", {"a", "b"})
    for job_id in ("a", "b", "c"):
        files.forget(job_id)
    assert files.job_ids() == set()
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["other.txt"]
    assert caplog.text == ""


# The ledger


def test_pausing_gives_the_attempt_back_and_keeps_how_far_the_job_is(ledger):
    job = ledger.add(drawn.TASK)
    for _ in range(3):
        assert ledger.claim("worker").attempt == 1
        ledger.progress(job.id, 1, Progress("denoising", 2, 9), preview=4)
        assert ledger.request_pause(job.id).state == "running"
        assert ledger.requeue(job.id, 1, "", counts=False, done=2, total=9, preview=4)
        held = ledger.get(job.id)
        assert (held.state, held.done, held.total, held.preview, held.position) == ("paused", 2, 9, 4, 0)
        assert ledger.claim("worker") is None
        again = ledger.resume(job.id)
        assert (again.state, again.position, again.pause_requested, again.done) == ("queued", 1, False, 2)


def test_the_pace_of_a_resumed_job_is_measured_from_its_first_new_step(ledger):
    job = ledger.add(drawn.TASK)
    ledger.claim("worker")
    for done in (12, 13, 14):
        ledger.progress(job.id, 1, Progress("denoising", done, 25))
    assert ledger.get(job.id).phase_from == 12
    ledger.progress(job.id, 1, Progress("decoding", 1, 16))
    assert ledger.get(job.id).phase_from == 1


def test_a_ledger_of_schema_1_is_taken_over_with_every_job(tmp_path):
    path = tmp_path / "jobs.sqlite"
    ledger = Ledger(path)
    jobs = [ledger.add(drawn.video_of(replace(drawn.RECIPE, seed=seed))) for seed in range(3)]
    ledger.claim("worker")
    before = ledger.list()
    ledger.close()
    make_older(path, 1)
    for _ in range(2):
        ledger = Ledger(path)
        assert ledger.list() == before
        assert ledger.notice == ""
        ledger.close()
    ledger = Ledger(path)
    assert ledger.request_pause(jobs[1].id).state == "paused"
    assert ledger.add(drawn.TASK).position == 2
    ledger.close()
    again = sqlite3.connect(path)
    assert again.execute("PRAGMA user_version").fetchone() == (SCHEMA,)
    again.close()


def test_a_paused_job_is_read_back_from_a_damaged_ledger_as_paused(tmp_path):
    path = tmp_path / "jobs.sqlite"
    ledger = Ledger(path)
    ids = [ledger.add(drawn.TASK).id for _ in range(100)]
    held = set(ids[::2])
    for job_id in held:
        ledger.request_pause(job_id)
    ledger.close()
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 4096 // 2 * 4096)
        file.write(b"\xff" * 4096)
    ledger = Ledger(path)
    assert ledger.notice
    saved = ledger.list(limit=200)
    assert len(saved) >= 20
    assert {job.id for job in saved if job.state == "paused"} == held & {job.id for job in saved}
    ledger.close()


# The studio


def test_through_the_studio_with_the_real_model_a_paused_regeneration_is_identical(tmp_path, models_dir):
    from core.studio import open_studio

    settings = replace(settings_for(tmp_path, models_dir), preload=True)
    request = VideoRequest("a red ball", num_frames=8, num_inference_steps=100, width=32, height=32, seed=7)

    def finish(studio, job):
        *_, last = studio.wait(job.id, poll_s=0.02)
        return last

    with open_studio(settings) as studio:
        parent = finish(studio, studio.submit(request))
        assert parent.state == "done", parent.reason
        job = studio.regenerate(parent.id)
        other = studio.submit(replace(request, seed=8, num_inference_steps=3))
        until(lambda: (now := studio.job(job.id)).phase == "denoising" and now.done >= 5)
        studio.pause(job.id)
        assert finish(studio, other).state == "done"  # during the pause
        held = studio.job(job.id)
        assert held.state == "paused"
        assert 5 <= held.done < 100
    with open_studio(settings) as studio:  # another day
        assert studio.job(job.id) == held
        studio.resume(job.id)
        done = finish(studio, job)
        assert (done.state, done.reason) == ("done", f"Continued after step {held.done} of 100.")
        child, calm = studio.video(job.id), studio.video(parent.id)
        assert child.verdict.verdict == "identical"
        assert child.receipt == calm.receipt
        assert json.loads(studio.library.sidecar_path(job.id).read_text())["schema"] == 1
        assert list((tmp_path / "checkpoints").iterdir()) == []
