"""The complete line, with the real parts: a prompt becomes a video in the gallery, and the same video again."""

import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import samples
from drawn import until
from filelock import FileLock

from core.domain.recipe import resolve
from core.domain.request import VideoRequest
from core.domain.resources import Resources
from core.errors import BadRequest, DiskFull, DoesNotFit, NotFound, StudioError
from core.jobs.kinds.generate import Generate
from core.jobs.queue.job import Job
from core.library.library import Query
from core.library.media import clip
from core.operations.planner import Planner
from core.planning.differences import Forecast
from core.planning.estimate import in_words
from core.settings import Settings
from core.studio import Studio, open_studio

REQUEST = VideoRequest("a red ball", num_frames=4, num_inference_steps=3, width=32, height=32, seed=7)


def settings_for(data_dir: Path, models_dir: Path, **changes: object) -> Settings:
    return replace(Settings.from_env({}, data_dir=data_dir, models_dir=models_dir, model="tiny", device="cpu"),
                   **changes)


def finish(studio: Studio, job: Job) -> Job:
    for now in studio.wait(job.id, poll_s=0.02):
        job = now
    return job


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Studio]:
    with open_studio(settings_for(tmp_path_factory.mktemp("data"), models_dir)) as opened:
        yield opened


@pytest.fixture(scope="module")
def video_id(studio: Studio) -> str:
    job = finish(studio, studio.submit(REQUEST))
    assert job.state == "done", job.reason
    return job.id


def test_a_prompt_becomes_a_video_in_the_gallery(studio, video_id):
    video = studio.video(video_id)
    found = samples.found(studio, Query(text='"red ball"'))
    made = clip.read(studio.library.mp4_path(video_id))
    assert video_id in [one.id for one in found]
    assert made.frames.shape == (4, 32, 32, 3) and made.fps == video.recipe.fps
    asked = {name: value for name, value in REQUEST.document().items() if value is not None}
    assert asked.items() <= video.recipe.document().items() and None not in video.recipe.document().values()
    assert video.result.num_frames == 4 and video.runtime.denoise_s > 0
    assert video.receipt.environment.versions["torch"] and len(video.receipt.weights_sha256) == 64
    assert studio.library.poster_path(video_id).stat().st_size > 0


def test_ten_regenerations_are_ten_times_identical(studio, video_id):
    jobs = [studio.regenerate(video_id) for _ in range(10)]
    made = [studio.video(finish(studio, job).id) for job in jobs]
    assert [video.verdict.verdict for video in made] == ["identical"] * 10
    assert {video.origin.kind for video in made} == {"regenerate"}
    assert made[0].origin.recipe == studio.video(video_id).recipe
    assert {video.parent for video in made} == {video_id} and {video.verdict.causes for video in made} == {()}
    assert {one.id for one in samples.found(studio, Query(parent=video_id))} == {video.id for video in made}


def test_the_shipped_model_repeats_itself_ten_times_out_of_ten_across_a_restart(tmp_path):
    settings = Settings.from_env({}, data_dir=tmp_path, model="demo", device="cpu")
    with open_studio(settings) as first:
        made = finish(first, first.submit(VideoRequest("a campfire at night", num_inference_steps=4))).id
        verdicts = [first.video(finish(first, first.regenerate(made)).id).verdict.verdict for _ in range(5)]
    with open_studio(settings) as second:
        verdicts += [second.video(finish(second, second.regenerate(made)).id).verdict.verdict for _ in range(5)]
    assert verdicts == ["identical"] * 10


def test_a_shipped_example_is_added_and_made_again(tmp_path):
    settings = Settings.from_env({}, data_dir=tmp_path, model="demo", device="cpu")
    with open_studio(settings) as studio:
        assert studio.add_examples() == len(studio.examples()) == 6
        example = studio.examples()[0]
        again = studio.video(finish(studio, studio.regenerate(example.id)).id)
        assert again.parent == example.id and again.verdict.verdict in ("identical", "equivalent", "drifted")
        assert again.receipt.weights_sha256 == example.receipt.weights_sha256
        if again.receipt.environment == example.receipt.environment:
            assert again.verdict.verdict == "identical"


def test_another_seed_is_another_video(studio, video_id):
    other = studio.video(finish(studio, studio.submit(replace(REQUEST, seed=8))).id)
    assert other.receipt.frames_sha256 != studio.video(video_id).receipt.frames_sha256
    assert other.verdict is None


def test_the_same_video_comes_out_of_its_mp4_alone_in_another_studio(studio, video_id, tmp_path, models_dir):
    alone = tmp_path / "sent by a friend.mp4"
    shutil.copy(studio.library.mp4_path(video_id), alone)
    with open_studio(settings_for(tmp_path / "data", models_dir)) as other:
        imported = other.transfer.import_mp4(alone).video
        assert imported.recipe == studio.video(video_id).recipe and imported.id == video_id
        again = other.video(finish(other, other.regenerate(imported.id)).id)
        assert again.verdict.verdict == "identical"


def test_a_changed_receipt_is_foreseen_and_explained_after(studio, video_id):
    twin = studio.video(finish(studio, studio.submit(REQUEST)).id)
    path = studio.library.sidecar_path(twin.id)
    document = json.loads(path.read_text(encoding="utf-8"))
    document["receipt"]["environment"]["versions"]["torch"] = "1.13.1"
    path.write_text(json.dumps(document), encoding="utf-8")
    foreseen = studio.planner.foresee(studio.video(twin.id))
    assert foreseen.known and len(foreseen.causes) == 1 and "torch (1.13.1 →" in foreseen.causes[0]
    again = studio.video(finish(studio, studio.regenerate(twin.id)).id)
    assert again.verdict.verdict == "identical" and again.verdict.causes == foreseen.causes
    assert studio.planner.foresee(studio.video(video_id)) == Forecast((), True)


def test_other_weights_are_foreseen_once_the_model_is_loaded(studio, video_id):
    twin = studio.video(finish(studio, studio.submit(REQUEST)).id)
    path = studio.library.sidecar_path(twin.id)
    document = json.loads(path.read_text(encoding="utf-8"))
    document["receipt"].update(weights_sha256="0" * 64, model_revision="abc")
    path.write_text(json.dumps(document), encoding="utf-8")
    foreseen = studio.planner.foresee(studio.video(twin.id))
    assert foreseen.known and [cause.partition(" (")[0] for cause in foreseen.causes] == [
        "another revision of the model", "other weights or configuration under the same name"]
    with open_studio(studio.settings, "visit") as visitor:  # it has no worker to ask
        assert visitor.planner.foresee(studio.video(twin.id)) == Forecast((), False)


def test_an_estimate_follows_videos_of_this_machine_only(studio, video_id):
    here = studio.video(finish(studio, studio.submit(REQUEST)).id)
    twin = studio.video(finish(studio, studio.submit(REQUEST)).id)
    path = studio.library.sidecar_path(twin.id)
    document = json.loads(path.read_text(encoding="utf-8"))
    document["receipt"]["environment"]["device_name"] = "NVIDIA H200"
    document["runtime"].update(denoise_s=5000.0)
    path.write_text(json.dumps(document), encoding="utf-8")
    estimate = studio.planner.estimate(here.recipe.request())
    known = {run.denoise_s for run in studio.planner.runs("tiny")}
    assert here.runtime.denoise_s in known and 5000.0 not in known
    assert 0 < estimate.seconds < 1000 and estimate.runs == len(known) and estimate.load_s == 0
    assert estimate.memory_bytes > 500_000_000


def test_the_worker_says_what_memory_there_is_and_how_fast_it_is(studio, video_id):
    resources = studio.worker().resources
    assert 0 < resources.free_bytes <= resources.total_bytes and resources.flops_per_s > 10**8


def test_before_the_first_video_the_estimate_rests_on_a_step_of_the_warm_model(tmp_path, models_dir):
    with open_studio(settings_for(tmp_path, models_dir)) as fresh:
        tried = until(lambda: (status := fresh.worker()) and status.resources and status.resources.step_flops_per_s
                      and status.resources, seconds=60)
        request = replace(REQUEST, model="tiny")
        guess = fresh.planner.estimate(request)
        planner = Planner(fresh.settings, lambda: replace(fresh.worker(), resources=replace(
            tried, step_flops_per_s=2 * tried.step_flops_per_s)), lambda: fresh.library, lambda: "cpu")
        assert guess.runs == 0 and planner.estimate(request).seconds == pytest.approx(guess.seconds / 2)


@pytest.mark.parametrize(("device", "there"), [("cpu", "this machine has"), ("cuda", "this GPU has")])
def test_a_request_that_cannot_fit_is_refused_with_the_nearest_that_fits(studio, video_id, device, there):
    have = Resources(*[1_500_000_000] * 2)
    planner = Planner(studio.settings, lambda: replace(studio.worker(), resources=have),
                      lambda: studio.library, lambda: device)
    spec = studio.models()["tiny"]
    huge = resolve(replace(REQUEST, num_frames=64, width=1024, height=1024), studio.models(), "tiny")
    with pytest.raises(DoesNotFit) as refused:
        planner.must_fit(huge, spec)
    assert f"GB for 64 frames of 1024 × 1024, and {there} 1.5 GB" in str(refused.value)
    assert str(refused.value).endswith(f" {in_words(refused.value.fits)} would fit.")
    fitting = replace(huge, **refused.value.fits)
    assert resolve(fitting.request(), studio.models(), "tiny") == fitting
    planner.must_fit(fitting, spec)
    assert planner.estimate(fitting.request()).memory_bytes <= 1_500_000_000
    planner.must_fit(studio.video(video_id).recipe, spec)


def test_a_waiting_and_a_running_job_are_cancelled(studio):
    running = studio.submit(replace(REQUEST, num_inference_steps=100, num_frames=32))
    waiting = studio.submit(REQUEST)
    assert studio.cancel(waiting.id).state == "cancelled"
    for now in studio.wait(running.id, poll_s=0.01):
        if now.phase == "denoising" and not now.cancel_requested:
            assert now.done < 100
            studio.cancel(running.id)
    assert studio.job(running.id).state == "cancelled"
    with pytest.raises(NotFound):
        studio.video(running.id)


def test_a_refusal_leaves_nothing_behind(studio):
    before = studio.ledger.counts()
    with pytest.raises(BadRequest, match="num_frames"):
        studio.submit(replace(REQUEST, num_frames=0))
    with pytest.raises(BadRequest, match="needs an NVIDIA GPU"):
        studio.submit(replace(REQUEST, model="modelscope-1.7b", width=256, height=256))
    assert studio.ledger.counts() == before


def test_a_second_process_submits_deletes_and_takes_over(tmp_path, models_dir):
    settings = settings_for(tmp_path, models_dir)
    first = Studio(settings)
    second = Studio(settings, "visit")
    try:
        assert first.leads and not second.leads
        job = finish(second, second.submit(REQUEST))
        assert job.state == "done" and second.video(job.id).recipe.seed == 7
        assert second.change(job.id, tags=("ball",)).tags == ("ball",)
        assert [video.id for video in samples.found(second, Query(text="ball"))] == [job.id]
        with pytest.raises(StudioError):
            second.delete("20260101-000000-000000")
        second.delete(job.id)
        assert first.search(Query(text="")).total == 0
    finally:
        second.close()
        first.close()
    with open_studio(settings, "visit") as third:
        assert not third.leads and third.search(Query(text="")).total == 0


def test_another_studio_takes_over_when_the_leader_ends(tmp_path, models_dir):
    settings = settings_for(tmp_path, models_dir)
    with FileLock(tmp_path / "studio.lock"):  # as another leader holds it
        second = Studio(settings)
        job = second.submit(REQUEST)
        assert not second.leads and second.ready()["ready"]
    try:
        assert finish(second, job).state == "done" and second.leads
    finally:
        second.close()


def test_an_app_that_only_reads_leaves_the_lead_to_the_dispatcher(tmp_path, models_dir):
    settings = settings_for(tmp_path, models_dir)
    with open_studio(settings, "visit") as app:
        job = app.submit(REQUEST)
        assert app.ready()["problems"] == ["no process runs the jobs (python -m core dispatch)"]
        with open_studio(settings) as dispatcher:
            assert dispatcher.leads and finish(app, job).state == "done" and app.ready()["ready"]
        assert app.change(job.id, favorite=True).favorite  # nobody leads now: the app does, for that moment
        app.delete(job.id)
        assert app.search(Query(text="")).total == 0


def test_taking_over_is_tried_again_when_it_failed(tmp_path, models_dir):
    settings = settings_for(tmp_path, models_dir)
    in_the_way = tmp_path / "library"
    with FileLock(tmp_path / "studio.lock"):
        second = Studio(settings)
        in_the_way.write_text("a file where a folder must be", encoding="utf-8")
    try:
        deadline = time.monotonic() + 20
        while second.ready()["ready"] and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not second.ready()["ready"] and not second.leads
        in_the_way.unlink()
        assert finish(second, second.submit(REQUEST)).state == "done"
    finally:
        second.close()


def test_too_little_free_disk_is_said_before_a_job_is_accepted(tmp_path, models_dir):
    with open_studio(settings_for(tmp_path, models_dir, min_free_mb=10**9), "visit") as studio:
        with pytest.raises(DiskFull, match="must stay free"):
            studio.submit(REQUEST)
        failed = studio.ledger.add(Generate(resolve(REQUEST, studio.models(), "tiny")))
        studio.cancel(failed.id)
        with pytest.raises(DiskFull):
            studio.retry(failed.id)
        assert [job.id for job in studio.jobs()] == [failed.id]


def test_words_the_model_does_not_know_are_named(tmp_path, models_dir):
    own = tmp_path / "models"
    shutil.copytree(models_dir, own)
    (own / "tiny" / "vocabulary.json").write_text(
        json.dumps({"words": ["a", "red", "ball"], "examples": ["a red ball"]}), encoding="utf-8")
    with open_studio(settings_for(tmp_path / "data", own), "visit") as studio:
        assert studio.planner.unknown_words("tiny", "A red dragon, a red BALL dragon!") == ("dragon",)
        assert studio.planner.prompt_examples("tiny") == ("a red ball",)
        assert studio.planner.unknown_words("modelscope-1.7b", "A red dragon") == ()


# The cost of asking

@cache
def opened() -> list[Path]:
    """Every file that this process opens from now on. Python cannot forget such a hook, so there is one."""
    found: list[Path] = []

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | Path):
            found.append(Path(arguments[0]))

    sys.addaudithook(note)
    return found


@contextmanager
def opened_below(folder: Path) -> Iterator[Counter[str]]:
    """How often each file below a folder is opened, by its path there; known once the block has ended."""
    counted = Counter[str]()
    opened().clear()
    yield counted
    counted.update(path.relative_to(folder).as_posix() for path in opened()
                   if path.is_relative_to(folder) and path.is_file())


def test_one_submit_reads_each_configuration_of_the_models_once_and_the_next_none(tmp_path, models_dir):
    own = tmp_path / "models"
    shutil.copytree(models_dir, own)  # under this path nobody has read them yet
    with open_studio(settings_for(tmp_path / "data", own, min_free_mb=0), "visit") as studio:
        with opened_below(own) as first:
            studio.submit(REQUEST)
        assert {"tiny/model_index.json", "tiny/unet/config.json", "tiny/vae/config.json",
                "tiny/text_encoder/config.json"} <= set(first)
        assert set(first.values()) == {1}, first
        with opened_below(own) as second:
            studio.submit(replace(REQUEST, num_frames=8))
            studio.audition(REQUEST, seeds=2)
            studio.planner.estimate(REQUEST)
        assert second == {}
        (own / "tiny" / "unet" / "config.json").touch()
        with opened_below(own) as third:
            studio.submit(REQUEST)
        assert third == {"tiny/unet/config.json": 1}
        assert len(studio.jobs()) == 4
