"""The dispatcher: jobs run in order, end with a reason, survive their workers, and become videos."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import drawn
import pytest
import samples
from drawn import until
from house import House, settings_for

from core.domain.recipe import Recipe
from core.domain.video import Origin
from core.errors import NotFound, StudioError
from core.families.registry import MODELS
from core.jobs.dispatch.dispatcher import Dispatcher
from core.jobs.executors.inline import InlineExecutor
from core.jobs.executors.process import ProcessExecutor
from core.jobs.kinds.generate import Generate
from core.jobs.queue.ledger import Ledger
from core.jobs.worker.host import WorkerHost
from core.jobs.worker.renderer import Renderer
from core.library.library import Library
from core.library.lineage import lineage, origin_of
from core.library.media import clip
from core.library.search.query import Query

ROOT = Path(__file__).resolve().parent.parent
RECIPE = drawn.RECIPE


def test_a_job_becomes_a_video_of_the_library(house):
    job = house.finish(house.add("a drawing with a joke", owner="ada"))
    assert (job.state, job.reason, job.attempt, job.phase) == ("done", "The prompt is a joke.", 1, "publishing")
    video = house.library.get(job.id)
    assert (video.recipe, video.owner, video.created, video.verdict) == (job.task.recipe, "ada", job.created, None)
    assert clip.read(house.library.mp4_path(job.id)).frames.shape == (4, 32, 32, 3)
    assert [found.id for found in samples.found(house.library, Query(text="joke"))] == [job.id]
    assert house.library.verify() == []
    assert video.runtime.queued_s == pytest.approx(0, abs=5)


def test_jobs_run_in_the_order_they_were_accepted(house):
    jobs = [house.add(seed=seed) for seed in range(6)]
    ended = [house.finish(job) for job in jobs]
    assert [job.state for job in ended] == ["done"] * 6
    assert sorted(ended, key=lambda job: job.started) == ended


def test_progress_and_a_preview_can_be_followed_and_the_preview_goes_with_the_job(house):
    job = house.add("slowly", num_inference_steps=40)
    first = house.await_progress(job)
    preview = house.folder / "previews" / f"{job.id}.webp"
    assert preview.read_bytes().startswith(b"RIFF picture")
    assert (first.state, first.total) == ("running", 40)
    assert first.preview > 0
    later = house.await_progress(job, first.done + 1)
    assert later.preview > first.preview
    assert later.phase_started == first.phase_started
    assert house.finish(job).state == "done"
    assert list(preview.parent.iterdir()) == []


def test_progress_is_written_down_about_five_times_a_second_however_often_it_is_looked_at(house):
    job = house.add("slowly", num_inference_steps=30)
    house.await_progress(job)
    seen, began = set(), time.monotonic()
    while time.monotonic() - began < 0.9:
        house.dispatcher.tick()
        seen.add(house.ledger.get(job.id).done)
    assert 2 <= len(seen) <= 7
    house.finish(job)


# Regeneration


def test_a_regeneration_is_compared_with_its_parent(house):
    parent = house.finish(house.add())
    child = house.library.get(house.finish(house.add(parent=parent.id, relation="regenerate")).id)
    assert (child.verdict.verdict, child.verdict.causes, child.parent) == ("identical", (), parent.id)
    other = house.library.get(house.finish(house.add(parent=parent.id, relation="regenerate", seed=9)).id)
    assert other.verdict.verdict == "drifted"
    assert other.verdict.psnr_db < 40
    assert len(other.verdict.causes) == 2
    longer = house.finish(house.add(parent=parent.id, relation="regenerate", num_frames=5))
    assert house.library.get(longer.id).verdict.psnr_db is None
    remix = house.finish(house.add(parent=parent.id, relation="remix", seed=9))
    assert (house.library.get(remix.id).verdict, remix.reason) == (None, "")


def test_the_facts_about_a_parent_are_stored_though_it_is_erased_while_the_child_waits(house):
    parent = house.library.get(house.finish(house.add()).id)
    origin = origin_of(house.library, parent.id, "remix")
    child = house.ledger.add(Generate(replace(RECIPE, seed=9), parent.id, origin))
    house.library.delete(parent.id)
    house.library.deleting.erase(parent.id)
    house.ledger.request_cancel(child.id)
    child = house.ledger.retry(child.id)
    video = house.library.get(house.finish(child).id)
    assert video.origin == Origin("remix", parent.created, parent.recipe, ())
    assert lineage(house.library, video).ancestors[0].recipe == parent.recipe
    assert clip.read(house.library.mp4_path(video.id)).comment.count(parent.created) == 1


def test_a_parent_that_is_gone_is_said_and_the_video_is_kept(house):
    parent = house.finish(house.add())
    job = house.add(parent=parent.id, relation="regenerate")
    house.library.delete(parent.id)
    done = house.finish(job)
    assert (done.state, house.library.get(job.id).verdict) == ("done", None)
    assert "is gone or damaged, so they were not compared" in done.reason


def as_long(mp4: bytes, size: int) -> bytes:
    """The MP4 with a box of nothing at its end, so that its size does not give the exchange away."""
    room = size - len(mp4)
    assert room >= 8
    return mp4 + room.to_bytes(4, "big") + b"free" + bytes(room - 8)


@pytest.mark.parametrize("exchange", ["negative", "damage", "another size"])
def test_a_parent_whose_file_is_not_the_one_its_receipt_speaks_of_gets_no_verdict(house, exchange):
    parent = house.finish(house.add())
    path = house.library.mp4_path(parent.id)
    whole, size = clip.read(path), path.stat().st_size
    path.write_bytes({"negative": as_long(clip.encode_bytes(255 - whole.frames, whole.fps, "")[0], size),
                      "damage": path.read_bytes()[:-200] + bytes(200),
                      "another size": as_long(clip.encode_bytes(whole.frames[:, :16], whole.fps, "")[0], size),
                      }[exchange])
    done = house.finish(house.add(parent=parent.id, relation="regenerate"))
    assert (done.state, house.library.get(done.id).verdict) == ("done", None)
    assert "does not show the frames its receipt speaks of" in done.reason


# Cancelling


def test_a_waiting_job_never_runs_once_cancelled_and_a_running_one_stops_within_a_step(house):
    running, waiting, last = house.add("slowly", num_inference_steps=400), house.add(), house.add()
    house.await_progress(running)
    assert house.ledger.request_cancel(waiting.id).state == "cancelled"
    house.ledger.request_cancel(running.id)
    began = time.monotonic()
    stopped = house.finish(running)
    assert (stopped.state, stopped.reason) == ("cancelled", "Cancelled while it ran.")
    assert time.monotonic() - began < 2
    assert house.finish(last).state == "done"
    assert house.ledger.get(waiting.id).started is None
    assert [video.id for video in samples.found(house.library)] == [last.id]


def test_a_cancel_that_is_not_honoured_costs_the_worker_not_the_person(process_house):
    job, after = process_house.add("hang"), process_house.add()
    process_house.await_progress(job)
    pid = process_house.executor.pid
    process_house.ledger.request_cancel(job.id)
    cancelled = process_house.finish(job)
    assert cancelled.state == "cancelled"
    assert "did not stop by itself and was replaced" in cancelled.reason
    assert process_house.executor.pid != pid
    assert process_house.finish(after).state == "done"


def test_a_cancel_that_comes_too_late_is_said_and_the_video_is_kept(house):
    job = house.add()
    house.turn(lambda: house.ledger.get(job.id).state == "running")
    until(lambda: house.executor.call("inline", "status").finished)  # made, and not yet taken
    house.ledger.request_cancel(job.id)
    done = house.finish(job)
    assert (done.state, done.reason) == ("done", "It was finished before the cancel arrived.")
    assert house.library.get(job.id)


# Failing


@pytest.mark.parametrize(("prompt", "error", "reason"), [
    ("raise", "RuntimeError", "Something unforeseen went wrong"),
    ("no memory", "OutOfMemory", "The memory ran out."),
    ("black", "InvalidFrames", "one flat colour"),
    ("badly", "ClipError", "Frames must be uint8"),
    ("one frame more", "ClipError", "which was not asked for"),
])
def test_a_job_that_fails_says_why_is_not_tried_again_and_the_next_one_runs(house, prompt, error, reason):
    job, after = house.add(prompt), house.add()
    failed = house.finish(job)
    assert (failed.state, failed.error, failed.attempt) == ("failed", error, 1)
    assert reason in failed.reason
    assert house.finish(after).state == "done"
    assert house.library.verify() == []
    assert [video.id for video in samples.found(house.library)] == [after.id]


def test_a_library_that_cannot_be_written_fails_the_job_with_that_sentence(house):
    job = house.add()
    month = house.folder / "library" / f"{job.id[:4]}-{job.id[4:6]}"
    month.write_text("a file where a folder has to be")
    failed = house.finish(job)
    assert failed.state == "failed"
    assert "Writing into" in failed.reason
    month.unlink()
    assert house.finish(house.ledger.retry(job.id)).state == "done"


def test_a_full_disk_under_the_ledger_only_delays(house):
    job = house.add("slowly", num_inference_steps=20)
    house.await_progress(job)
    database = house.ledger._database
    pages = database.read("PRAGMA page_count")[0]["page_count"]
    database.change(f"PRAGMA max_page_count={pages}")
    with pytest.raises(StudioError):
        while True:
            house.add("x" * 1900)
    database.change("PRAGMA max_page_count=100000")
    assert house.finish(job).state == "done"
    assert house.dispatcher.trouble == ""


def test_a_locked_ledger_is_trouble_that_passes(house, tmp_path):
    job = house.add()
    house.ledger._database._writer.execute("PRAGMA busy_timeout=10")
    other = sqlite3.connect(tmp_path / "jobs.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    house.turn(lambda: house.dispatcher.trouble)
    assert house.dispatcher.trouble == "The queue is busy with another process; try again in a moment."
    other.execute("COMMIT")
    other.close()
    assert house.finish(job).state == "done"
    assert house.dispatcher.trouble == ""


# Losing workers


def test_a_job_that_kills_its_worker_twice_is_set_aside_and_the_jobs_behind_it_run(process_house):
    poison, after = process_house.add("die"), process_house.add()
    parked = process_house.finish(poison)
    assert (parked.state, parked.attempt, parked.error) == ("interrupted", 2, "WorkerLost")
    assert parked.reason.startswith("The worker's process ended (SIGKILL). It was the second time")
    assert process_house.finish(after).state == "done"


def test_a_lost_gpu_replaces_the_worker_and_the_job_is_made_again_once(process_house):
    pid = process_house.executor.pid
    done = process_house.finish(process_house.add("lose the GPU"))
    assert (done.state, done.attempt) == ("done", 2)
    assert process_house.executor.pid != pid


def test_a_frozen_worker_is_replaced_and_its_job_made_again(process_house):
    job = process_house.add("slowly", num_inference_steps=30)
    process_house.await_progress(job)
    os.kill(process_house.executor.pid, signal.SIGSTOP)
    began = time.monotonic()
    process_house.turn(lambda: process_house.ledger.get(job.id).attempt == 2)
    assert time.monotonic() - began < 7
    assert process_house.finish(job).state == "done"


def test_a_worker_that_cannot_start_neither_loops_nor_holds_up_the_queue_for_ever(tmp_path):
    settings = settings_for(tmp_path)
    house = House(tmp_path, settings, ProcessExecutor(settings, (sys.executable, "-c", "raise SystemExit(3)")))
    try:
        house.turn(lambda: house.dispatcher.status and house.dispatcher.status.error)
        assert house.dispatcher.status.error .startswith("The worker's process ended (exit code 3).")
        pid = house.executor.pid
        for _ in range(20):
            house.dispatcher.tick()
        assert house.executor.pid == pid  # with nothing to do it is left alone
        ended = [house.finish(job) for job in (house.add(), house.add())]
        assert [(job.state, job.attempt) for job in ended] == [("interrupted", 2)] * 2
        assert "worker.log in the data folder says why" in ended[0].reason
    finally:
        house.close()


def test_kill_9_of_the_real_worker_in_mid_job_is_noticed_and_the_frames_are_the_same(tmp_path, models_dir):
    settings = settings_for(tmp_path, models_dir)
    house = House(tmp_path, settings, ProcessExecutor(settings))
    recipe = Recipe("a red ball", "", "tiny", 4, 40, 5.0, 8, 7, 32, 32, "ddim", "exact")
    try:
        calm = house.finish(house.ledger.add(Generate(recipe)), 180)
        job = house.ledger.add(drawn.video_of(recipe, calm.id, "regenerate"))
        house.await_progress(job, 3)
        os.kill(house.executor.pid, signal.SIGKILL)
        killed = time.monotonic()
        house.turn(lambda: house.ledger.get(job.id).attempt == 2)
        noticed = time.monotonic() - killed
        again = house.finish(job, 180)
        assert (calm.state, again.state, again.attempt) == ("done", "done", 2)
        assert house.library.get(job.id).verdict.verdict == "identical"
        assert noticed < 5
        print(f"kill -9 noticed and the job begun again after {noticed:.3f} s")
    finally:
        house.close()


# Stopping and starting


def test_a_clean_stop_puts_the_running_job_back_and_does_not_count(tmp_path):
    for _ in range(3):
        house = House(tmp_path)
        job = house.ledger.list()[0] if house.ledger.list() else house.add("slowly", num_inference_steps=30)
        assert house.await_progress(job).attempt == 1
        house.close()
        ledger = Ledger(tmp_path / "jobs.sqlite")
        waiting = ledger.get(job.id)
        ledger.close()
        assert (waiting.state, waiting.attempt, waiting.phase) == ("queued", 0, "queued")
    house = House(tmp_path)
    assert house.finish(job).state == "done"
    house.close()


def test_after_a_crash_a_job_is_made_again_once_and_then_set_aside(tmp_path):
    ledger = Ledger(tmp_path / "jobs.sqlite")
    first, second, third = (ledger.add(drawn.TASK) for _ in range(3))
    ledger.claim("w")
    ledger.requeue(first.id, 1, "")
    ledger.claim("w")  # the first is at its second attempt
    ledger.claim("w")
    ledger.claim("w")
    ledger.request_cancel(third.id)
    ledger.close()
    house = House(tmp_path)
    assert house.finish(second).attempt == 2
    parked, cancelled = house.ledger.get(first.id), house.ledger.get(third.id)
    assert (parked.state, parked.attempt) == ("interrupted", 2)
    assert parked.reason.startswith("The studio stopped while it ran. It was the second time")
    assert (cancelled.state, cancelled.reason) == ("cancelled", "Cancelled while it ran.")
    house.close()


def test_a_video_that_was_complete_when_the_studio_stopped_is_not_made_again(house, tmp_path):
    job = house.finish(house.add())
    house.close()
    database = sqlite3.connect(tmp_path / "jobs.sqlite")
    database.execute("UPDATE jobs SET state = 'committing', ended = NULL")
    database.commit()
    database.close()
    again = House(tmp_path)
    assert (again.finish(job).state, again.ledger.get(job.id).attempt) == ("done", 1)
    again.close()
    house.ledger, house.library = Ledger(tmp_path / "jobs.sqlite"), Library(tmp_path, writable=False)


# Threads, other processes


def test_a_submission_wakes_the_thread_and_the_work_begins_at_once(house):
    house.dispatcher.start()
    until(lambda: house.dispatcher.status and house.dispatcher.status.state == "idle")
    waits = []
    for _ in range(5):
        asked = time.monotonic()
        job = house.add()
        house.dispatcher.wake()
        until(lambda job=job: house.ledger.get(job.id).state != "queued", every=0.001)
        waits.append(time.monotonic() - asked)
        until(lambda job=job: house.ledger.get(job.id).has_ended)
    print("submit to started:", [f"{wait * 1000:.1f} ms" for wait in waits])
    assert sorted(waits)[2] < 0.05 * 5  # 50 ms on a machine with nothing else to do


def test_another_process_submits_deletes_and_is_refused_in_the_owners_words(house, tmp_path):
    house.dispatcher.start()
    code = """
import sys, time, pathlib
from core.errors import StudioError
from core.jobs.queue.ledger import Ledger
sys.path.insert(0, "tests")
from drawn import TASK, until
ledger = Ledger(pathlib.Path(sys.argv[1]))
job = ledger.add(TASK)
until(lambda: ledger.get(job.id).has_ended)
def ask(kind, **args):
    command = ledger.command(kind, args)
    return until(lambda: ledger.command_result(command) is not None and ledger.command_result(command) or [])
print(ask("change", id=job.id, tags=["kept"], favorite=True)["tags"])
print(ask("reindex")["videos"])
for kind, args in (("delete", {"id": "20261122-081301-a1b2c3"}), ("drop tables", {}), ("delete", {}),
                   ("delete", {"id": job.id, "force": True}), ("import", {"path": "/a\\0b.mp4"})):
    try:
        ask(kind, **args)
    except StudioError as error:
        print(type(error).__name__, error)
command = ledger.command("delete", {"id": job.id})
until(lambda: ledger.command_result(command) is not None)
ledger.close()
"""
    child = subprocess.run([sys.executable, "-c", code, str(tmp_path / "jobs.sqlite")], cwd=ROOT, check=True,
                           stdout=subprocess.PIPE, text=True)
    lines = child.stdout.splitlines()
    assert lines[0] == "['kept']"
    assert lines[2].startswith("NotFound There is no video 20261122-081301-a1b2c3")
    assert lines[3] == "BadRequest request: 'drop tables' is not a change of the library."
    assert lines[4] == "BadRequest request: the change 'delete' cannot be made: id is missing."
    assert lines[5] == "BadRequest request: the change 'delete' does not know force."
    assert lines[6].startswith("StudioError The library could not be changed: embedded null byte")
    with pytest.raises(NotFound):
        house.library.get(house.ledger.list()[0].id)


def test_a_deletion_that_a_crash_left_unanswered_is_answered(house):
    job = house.finish(house.add())
    command = house.ledger.command("delete", {"id": job.id})
    house.ledger.next_command()
    house.library.delete(job.id)
    house.ledger.requeue_commands()
    house.dispatcher.tick()
    assert house.ledger.command_result(command) == {"trashed": True}


def test_the_leader_removes_what_has_been_in_the_trash_for_long_enough(house):
    old, young = (house.finish(house.add(prompt)) for prompt in ("old", "young"))
    for job, days in ((old, house.library.deleting.days), (young, house.library.deleting.days - 1)):
        house.library.delete(job.id, datetime.now(UTC) - timedelta(days=days, minutes=1))
    again = Dispatcher(house.ledger, house.library, house.executor, house.settings)
    again.tick()
    assert [each.id for each in house.library.trash.content()] == [young.id]


def test_an_idle_worker_loads_the_default_model_that_is_on_this_machine(tmp_path, monkeypatch):
    (tmp_path / "models" / "tiny").mkdir(parents=True)
    (tmp_path / "models" / "tiny" / "model_index.json").write_text("{}")
    house = House(tmp_path, settings_for(tmp_path, preload=True))
    house.turn(lambda: house.dispatcher.status and house.dispatcher.status.model == "tiny")
    assert house.finish(house.add()).state == "done"
    assert house.dispatcher.status.model == "drawn"
    house.close()
    spec = MODELS["modelscope-1.7b"]
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    fetched = tmp_path / "hub" / f"models--{spec.repo_id.replace('/', '--')}" / "snapshots" / spec.revision
    for name in ("model_index.json", *(f"{part}/weights.safetensors" for part in ("text_encoder", "unet", "vae"))):
        (fetched / name).parent.mkdir(parents=True, exist_ok=True)
        (fetched / name).write_text("{}")
    from_the_hub = House(tmp_path, settings_for(tmp_path, preload=True, model=spec.key))
    from_the_hub.turn(lambda: from_the_hub.dispatcher.status and from_the_hub.dispatcher.status.model == spec.key)
    from_the_hub.close()
    elsewhere = House(tmp_path, settings_for(tmp_path, preload=True, model="not here"))
    elsewhere.turn(lambda: elsewhere.dispatcher.status and elsewhere.dispatcher.status.state == "idle")
    for _ in range(5):
        elsewhere.dispatcher.tick()
    assert (elsewhere.dispatcher.status.model, elsewhere.dispatcher.status.error) == ("", "")
    elsewhere.close()


class Unwilling(InlineExecutor):
    """An unforeseen error of a worker."""

    def call(self, worker, method, *args, timeout=5.0):
        raise TypeError("unheard of")


def test_an_unforeseen_error_ends_the_thread_loudly_and_readiness_can_say_so(tmp_path, monkeypatch):
    heard = []
    monkeypatch.setattr(threading, "excepthook", heard.append)
    house = House(tmp_path, executor=Unwilling(
        lambda on_news: WorkerHost(lambda: Renderer(drawn.DrawnEngine(tmp_path)), on_news)))
    house.dispatcher.start()
    until(lambda: house.dispatcher.failure)
    until(lambda: heard)
    assert "TypeError: unheard of" in house.dispatcher.failure
    assert heard[0].exc_type is TypeError
    house.close()


def test_closing_twice_is_once_and_a_closed_dispatcher_leaves_nothing_running(house):
    house.dispatcher.start()
    house.dispatcher.close()
    house.dispatcher.close()
    assert house.dispatcher.failure is None
    assert not [thread for thread in threading.enumerate() if thread.name == "dispatcher"]


@dataclass(frozen=True)
class Riddle:
    """A task of a kind that only a newer studio knows."""

    kind: ClassVar[str] = "riddle"
    model: ClassVar[str] = ""

    def document(self):
        return {"kind": "riddle", "asks": "what is it?"}


@pytest.mark.parametrize("task", [Riddle(), Generate(replace(RECIPE, num_frames=None))])
def test_a_task_that_no_worker_understands_fails_instead_of_blocking(house, task):
    job, after = house.ledger.add(task), house.add()
    assert [each.id for each in house.ledger.list(oldest_first=True)] == [job.id, after.id]
    failed = house.finish(job)
    assert (failed.state, failed.error) == ("failed", "BadRequest")
    assert failed.reason.startswith("task: cannot be read")
    assert failed.task.document() == task.document(), "a newer studio can try it again"
    assert house.finish(after).state == "done"
