"""A worker, in a thread and in a separate process: the same promises, with the real engine on the tiny model."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import drawn
import pytest
from drawn import alive, head, until, video_of

from core.domain.recipe import Recipe
from core.domain.resources import Resources
from core.domain.video import Video, new_id
from core.errors import BadRequest, ModelUnavailable, StudioError, WorkerLost
from core.jobs.executors.executor import Silent
from core.jobs.executors.inline import InlineExecutor
from core.jobs.executors.process import ProcessExecutor
from core.jobs.worker.host import WorkerHost
from core.jobs.worker.renderer import Renderer
from core.library.media import clip
from core.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
RECIPE = Recipe("a red ball", "", "tiny", 4, 6, 5.0, 8, 7, 32, 32, "ddim", "exact")
TASK = video_of(RECIPE)


def settings_for(data_dir, models_dir, **changes):
    return replace(Settings.from_env({}, data_dir=data_dir, models_dir=models_dir, model="tiny", device="cpu",
                                     preload=False), **changes)


@pytest.fixture(scope="module")
def own_models(tmp_path_factory):
    """Two real models: "tiny" and "other"."""
    from tiny import make_checkpoint

    folder = tmp_path_factory.mktemp("two-models")
    make_checkpoint(folder / "tiny")
    make_checkpoint(folder / "other", seed=1)
    return folder


@pytest.fixture(scope="module", params=["inline", "process"])
def executor(request, tmp_path_factory, own_models):
    settings = settings_for(tmp_path_factory.mktemp("data"), own_models)
    if request.param == "process":
        executor = ProcessExecutor(settings)
    else:
        from core.diffusion.engine import Engine

        executor = InlineExecutor(lambda on_news: WorkerHost(lambda: Renderer(Engine(settings)), on_news))
    yield executor
    executor.close()


@pytest.fixture
def worker(executor):
    """`worker(method, *args)` of an idle worker with nothing in its outbox."""
    def call(method, *args):
        return executor.call(executor.workers()[0], method, *args)

    until(lambda: call("status").state == "idle", 60)
    for job_id, attempt, _ in call("status").finished:
        call("ack", job_id, attempt)
    return call


def run(worker, task=TASK, attempt=1, **changes):
    about = head(task, **changes)
    worker("start", about["id"], attempt, task.document(), about)
    until(lambda: any(job_id == about["id"] for job_id, _, _ in worker("status").finished))
    return worker("take", about["id"], attempt)


def test_an_idle_worker_says_what_machine_it_is(worker):
    status = worker("status")
    assert (status.device, status.environment.dtype) == ("cpu", "float32")
    assert status.device_name and status.environment.versions["torch"]
    assert (status.job_id, status.progress, status.finished, status.error) == ("", None, (), "")


def test_a_warm_model_says_what_it_puts_into_receipts(worker):
    receipt = run(worker).document["receipt"]
    until(lambda: worker("status").state == "idle")
    warm = worker("status").warm
    assert {name: receipt[name] for name in vars(warm)} == vars(warm) and len(warm.weights_sha256) == 64


def test_a_request_becomes_an_mp4_with_its_complete_recipe_inside(worker):
    task = video_of(RECIPE, "20261122-081301-a1b2c3", "remix")
    outcome = run(worker, task, owner="ada", queued_s=1.5)
    assert (outcome.kind, outcome.reason) == ("done", "")
    video = Video.from_document(outcome.document)
    made = clip.read(outcome.file)
    assert made.frames.shape == (4, 32, 32, 3)
    assert (video.recipe, video.owner) == (RECIPE, "ada")
    assert (video.parent, video.origin) == (task.parent, task.origin)
    assert (video.result.bytes, video.result.num_frames, video.runtime.queued_s) == (len(outcome.file), 4, 1.5)
    inside = json.loads(made.comment)
    assert (inside["id"], inside["created"]) == (video.id, video.created)
    assert inside["receipt"] == video.receipt.document()


def test_the_same_seed_gives_the_same_frames_and_another_seed_others(worker):
    made = [run(worker, video_of(replace(RECIPE, seed=seed))).document for seed in (7, 7, 8)]
    hashes = [document["receipt"]["frames_sha256"] for document in made]
    assert hashes[0] == hashes[1] != hashes[2]


def test_an_outcome_stays_until_it_is_acknowledged(worker):
    outcome = run(worker)
    key = outcome.document["id"], 1
    assert worker("take", *key) == outcome
    worker("start", *key, TASK.document(), head(TASK, id=key[0]))  # asked again: it is done already
    assert worker("status").finished == ((*key, "done"),)
    worker("ack", *key)
    worker("ack", *key)
    assert worker("take", *key) is None
    assert worker("status").finished == ()


def test_progress_and_previews_can_be_watched_and_a_cancel_is_honoured_within_a_step(worker):
    task = video_of(replace(RECIPE, num_inference_steps=100, num_frames=24))
    about = head(task)
    worker("start", about["id"], 3, task.document(), about)
    worker("start", about["id"], 3, task.document(), about)  # a lost answer, asked again
    with pytest.raises(StudioError, match="busy with another job"):
        worker("start", new_id(), 1, task.document(), head(task))
    seen = until(lambda: (s := worker("status")).preview_seq and s)
    assert (seen.state, seen.job_id, seen.attempt, seen.model) == ("busy", about["id"], 3, "tiny")
    assert (seen.progress.phase, seen.progress.total) == ("denoising", 100)
    assert worker("preview", about["id"])[:4] == b"RIFF"
    assert worker("preview", new_id()) is None
    worker("cancel", about["id"], 2)  # of an attempt that is no longer
    worker("cancel", new_id(), 3)
    assert worker("status").job_id == about["id"]
    before = worker("status").progress.done
    worker("cancel", about["id"], 3)
    until(lambda: worker("status").finished)
    assert worker("take", about["id"], 3).kind == "cancelled"
    assert before < 100
    assert worker("status").state == "idle"


def test_a_model_stays_warm_and_makes_way_for_another(worker):
    assert run(worker).kind == "done"
    assert worker("status").model == "tiny"
    worker("load", "other")
    until(lambda: worker("status").model == "other" and worker("status").state == "idle")
    other = run(worker, video_of(replace(RECIPE, model="other")))
    back = run(worker)
    assert (other.kind, back.kind, worker("status").model) == ("done", "done", "tiny")
    assert other.document["receipt"]["weights_sha256"] != back.document["receipt"]["weights_sha256"]


def test_a_task_the_model_cannot_make_fails_with_a_sentence_and_the_next_job_runs(worker):
    outcome = run(worker, video_of(replace(RECIPE, width=33)))
    assert (outcome.kind, outcome.error) == ("failed", "BadRequest")
    assert "33 is not a multiple of" in outcome.reason
    worker("load", "no such model")
    assert "no such model" in until(lambda: worker("status").error)
    assert run(worker).kind == "done"
    assert worker("status").error == ""


def test_only_what_a_worker_does_can_be_asked_of_it(worker):
    for method in ("close", "_run", "__init__"):
        with pytest.raises(BadRequest):
            worker(method)


@pytest.mark.parametrize("document", [
    {"kind": "generate"}, {"kind": "evil"}, {"prompt": "x"}, {}, {"kind": ["generate"]},
    {**TASK.document(), "recipe": {**RECIPE.document(), "num_frames": "4"}}])
def test_a_document_that_is_no_task_is_refused_as_an_outcome_and_the_next_job_runs(worker, document):
    about = head(TASK)
    worker("start", about["id"], 1, document, about)
    outcome = until(lambda: worker("take", about["id"], 1))
    assert (outcome.kind, outcome.error) == ("failed", "BadRequest")
    assert outcome.reason.startswith("task: cannot be read: ")
    assert run(worker).kind == "done"


def test_an_engine_that_cannot_be_built_is_said_fails_the_jobs_and_is_tried_again(tmp_path):
    problems = [ModelUnavailable("This machine has no CUDA GPU.")] * 2

    def build():
        if problems:
            raise problems.pop()
        return Renderer(drawn.DrawnEngine(tmp_path))

    host = WorkerHost(build)
    until(lambda: host.status().error == "This machine has no CUDA GPU.")
    assert (host.status().state, host.status().environment) == ("idle", None)
    kinds = []
    for _ in range(2):
        about = head()
        host.start(about["id"], 1, drawn.TASK.document(), about)
        until(lambda about=about: host.take(about["id"], 1))
        kinds.append((host.take(about["id"], 1).kind, host.take(about["id"], 1).reason))
    assert kinds == [("failed", "This machine has no CUDA GPU."), ("done", "")]
    assert (host.status().error, host.status().device) == ("", "cpu")
    host.close()


def test_a_device_that_does_not_answer_stops_no_worker(tmp_path):
    class Mute(drawn.DrawnEngine):
        def resources(self):
            raise RuntimeError("CUDA error: out of memory")

    host = WorkerHost(lambda: Renderer(Mute(tmp_path)))
    until(lambda: host.status().state == "idle")
    assert (host.status().error, host.status().device, host.status().resources) == ("", "cpu", Resources())
    for _ in range(2):
        about = head()
        host.start(about["id"], 1, drawn.TASK.document(), about)
        until(lambda about=about: host.take(about["id"], 1))
        assert host.take(about["id"], 1).kind == "done"
    host.close()


# A separate process: a small engine without torch, so that each test has a fresh one


@pytest.fixture
def process(tmp_path):
    executor = ProcessExecutor(settings_for(tmp_path, tmp_path), drawn.command())
    yield executor
    executor.close()


def ready(process):
    until(lambda: process.call("worker", "status").state == "idle")


def begin(process, prompt="slowly", steps=400):
    about, task = head(), video_of(replace(drawn.RECIPE, prompt=prompt, num_inference_steps=steps))
    process.call("worker", "start", about["id"], 1, task.document(), about)
    until(lambda: (s := process.call("worker", "status")).progress and s.progress.done)
    return about["id"]


def test_a_worker_answers_while_it_still_imports_its_libraries(tmp_path, models_dir):
    started = time.monotonic()
    executor = ProcessExecutor(settings_for(tmp_path, models_dir))
    try:
        assert executor.call("worker", "status").state == "starting"
        assert time.monotonic() - started < 4.0
        about = head(TASK)  # a job may come before it is ready
        executor.call("worker", "start", about["id"], 1, TASK.document(), about)
        assert executor.call("worker", "status").job_id == about["id"]
        executor.call("worker", "cancel", about["id"], 1)
        assert executor.call("worker", "status").finished == ((about["id"], 1, "cancelled"),)
    finally:
        executor.close()


def test_killing_a_worker_is_noticed_at_once_and_a_fresh_one_takes_its_place(process):
    ready(process)
    begin(process)
    pid, told = process.pid, []
    process.listen(lambda: told.append(time.monotonic()))
    killed = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    until(lambda: told, 5)
    assert told[0] - killed < 3.0
    for _ in range(2):
        with pytest.raises(WorkerLost, match=r"The worker's process ended \(SIGKILL\)"):
            process.call("worker", "status")
    process.kill("worker")
    ready(process)
    assert process.pid != pid


def test_a_frozen_worker_is_silent_not_gone(process):
    ready(process)
    os.kill(process.pid, signal.SIGSTOP)
    with pytest.raises(Silent):
        process.call("worker", "status", timeout=0.2)
    os.kill(process.pid, signal.SIGCONT)
    assert process.call("worker", "status").state == "idle"
    os.kill(process.pid, signal.SIGSTOP)
    process.kill("worker")
    ready(process)


def test_the_output_of_a_library_never_disturbs_the_answers(process, tmp_path):
    ready(process)
    job_id = begin(process, "print something", steps=20)
    until(lambda: process.call("worker", "status").finished)
    assert process.call("worker", "take", job_id, 1).kind == "done"
    log = (tmp_path / "worker.log").read_text()
    assert "a line on stdout" in log
    assert "another, below Python" in log


def test_an_unforeseen_error_fails_the_job_calmly_and_is_in_the_log(process, tmp_path):
    ready(process)
    about, task = head(), video_of(replace(drawn.RECIPE, prompt="raise"))
    process.call("worker", "start", about["id"], 1, task.document(), about)
    until(lambda: process.call("worker", "status").finished)
    outcome = process.call("worker", "take", about["id"], 1)
    assert (outcome.kind, outcome.error) == ("failed", "RuntimeError")
    assert outcome.reason.startswith("Something unforeseen went wrong while making this video")
    assert "mat1 and mat2 shapes cannot be multiplied" in (tmp_path / "worker.log").read_text()
    assert begin(process)


def test_a_model_loaded_for_nobody_makes_way_for_a_job(process):
    ready(process)
    process.call("worker", "load", "large")
    until(lambda: process.call("worker", "status").state == "loading")
    about = head()
    process.call("worker", "start", about["id"], 1, drawn.TASK.document(), about)
    until(lambda: process.call("worker", "status").finished)
    assert process.call("worker", "status").model == "drawn"


def popen(tmp_path):
    environ = settings_for(tmp_path, tmp_path).process_environ()
    return subprocess.Popen(drawn.command(), cwd=ROOT, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL)


def say(process, method, *args):
    process.stdin.write(json.dumps({"n": 1, "method": method, "args": args}).encode() + b"\n")
    process.stdin.flush()
    while "n" not in (answer := json.loads(process.stdout.readline())):
        pass
    return answer


@pytest.mark.parametrize("ending", ["stdin ends", "SIGTERM"])
def test_a_worker_leaves_at_once_in_the_middle_of_a_job_when(tmp_path, ending):
    with popen(tmp_path) as process:
        about, task = head(), video_of(replace(drawn.RECIPE, prompt="slowly", num_inference_steps=400))
        assert "error" not in say(process, "start", about["id"], 1, task.document(), about)
        until(lambda: (say(process, "status")["result"]["progress"] or {}).get("done"))
        began = time.monotonic()
        process.stdin.close() if ending == "stdin ends" else process.terminate()
        assert process.wait(5) == 0
        assert time.monotonic() - began < 3.0


def test_closing_an_executor_leaves_no_process_and_nothing_hangs_on_a_frozen_one(tmp_path):
    executor = ProcessExecutor(settings_for(tmp_path, tmp_path), drawn.command())
    ready(executor)
    pid = executor.pid
    os.kill(pid, signal.SIGSTOP)
    executor.close()
    assert not alive(pid)
    with pytest.raises(WorkerLost):
        executor.call("worker", "status")


def test_ctrl_c_in_the_terminal_is_not_for_the_worker(process):
    ready(process)
    assert os.getsid(process.pid) == process.pid
    os.kill(process.pid, signal.SIGINT)
    assert process.call("worker", "status").state == "idle"


def test_a_grown_log_is_put_aside_and_temporary_files_of_the_dead_are_removed(tmp_path, process):
    (tmp_path / "scratch" / "t2v-left").mkdir()
    with (tmp_path / "worker.log").open("ab") as log:
        log.truncate(5_000_000)
    process.kill("worker")
    ready(process)
    assert (tmp_path / "worker.log.1").stat().st_size == 5_000_000
    assert (tmp_path / "worker.log").stat().st_size < 1_000_000
    assert not (tmp_path / "scratch" / "t2v-left").exists()


def test_files_of_a_worker_killed_while_it_decodes_are_removed_by_the_next_one(tmp_path, own_models):
    executor, scratch = ProcessExecutor(settings_for(tmp_path, own_models)), tmp_path / "scratch"
    task = video_of(replace(RECIPE, num_frames=64, num_inference_steps=1, width=256, height=256))

    def elsewhere() -> set[Path]:
        return set(Path(tempfile.gettempdir()).glob("t2v-*/clip.mp4"))

    try:
        until(lambda: executor.call("worker", "status").state == "idle", 120)
        before = elsewhere()
        executor.call("worker", "start", new_id(), 1, task.document(), head(task))
        until(lambda: list(scratch.glob("t2v-*/clip.mp4")), 120)
        assert executor.call("worker", "status").progress.phase in ("denoising", "decoding")
        os.kill(executor.pid, signal.SIGKILL)
        until(lambda: not alive(executor.pid))
        assert list(scratch.glob("t2v-*")) and elsewhere() <= before
        executor.kill("worker")
        assert not list(scratch.iterdir())
    finally:
        executor.close()


def test_the_words_of_the_screens_process_never_import_the_engine():
    code = "import sys, core.jobs.dispatch.dispatcher, core.jobs.worker.host; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_worker_that_prepares_for_nobody_is_idle_and_makes_way_for_a_job(tmp_path):
    executor = InlineExecutor(lambda on_news: WorkerHost(lambda: Renderer(drawn.DrawnEngine(tmp_path)), on_news))

    def call(method, *args):
        return executor.call("inline", method, *args)

    try:
        until(lambda: call("status").state == "idle")
        call("load", "prepared")
        until((tmp_path / "preparing").exists)
        status = call("status")
        assert (status.state, status.model, status.progress, status.error) == ("idle", "prepared", None, "")
        outcome = run(call, video_of(replace(drawn.RECIPE, model="prepared")))
        assert (outcome.kind, outcome.reason) == ("done", "")
    finally:
        executor.close()
