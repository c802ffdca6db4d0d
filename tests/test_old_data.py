"""A data folder of version 0.1.0 opens: nothing in it is lost, and its unfinished jobs are finished here.

`old_data/0.1.0.zip` is that folder, `old_data/0.1.0.json` the content as version 0.1.0 reported it. Both were made
by `old_data/make.py`.
"""

import hashlib
import json
import sqlite3
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
from drawn import until

from core.domain.receipt import Receipt
from core.domain.video import Video
from core.jobs.queue.ledger import Job
from core.library.search.query import Query, query_from
from core.settings import Settings
from core.studio import Studio, open_studio

OLD = Path(__file__).resolve().parent / "old_data"
SAID = json.loads((OLD / "0.1.0.json").read_text(encoding="utf-8"))
ID = SAID["roles"]
JOBS = {job["id"]: job for job in SAID["jobs"]}
VIDEOS = {video["id"]: video for video in SAID["videos"]}
WAITING = [job["id"] for job in SAID["jobs"] if job["state"] == "queued"]
ALIKE = ("identical", "equivalent")  # the second: 40 dB or more, in another machine's arithmetic


def job_document(job: Job) -> dict[str, Any]:
    """A job in the words of version 0.1.0, without its wishes and its phase."""
    names = ("id", "state", "owner", "attempt", "reason", "error", "done", "total", "created", "started", "ended",
             "position")
    task = json.loads(json.dumps(job.task.document()))
    origin = task.get("origin")
    return {**{name: getattr(job, name) for name in names}, "kind": origin["kind"] if origin else task["kind"],
            "request": task["recipe"], "parent": job.task.parent, "origin": origin,
            "audition": task if task["kind"] == "audition" else None}


def differences(before: Any, now: Any, place: str = "") -> list[str]:
    """The facts reported before and not now. More facts are no difference."""
    if isinstance(before, dict) and isinstance(now, dict):
        return [each for name in before for each in differences(before[name], now.get(name), f"{place}.{name}")]
    return [] if before == now else [f"{place}: {before!r} → {now!r}"]


def zipped(ending: str) -> bytes:
    """The file of the old folder whose path ends so, as it was."""
    with zipfile.ZipFile(OLD / "0.1.0.zip") as file:
        (name,) = (name for name in file.namelist() if name.endswith(ending))
        return file.read(name)


def content(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table of a queue."""
    connection = sqlite3.connect(path)
    try:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
        return {name: connection.execute(f"SELECT * FROM {name} ORDER BY rowid").fetchall() for (name,) in tables}
    finally:
        connection.close()


def user_version(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return connection.execute("PRAGMA user_version").fetchone()[0]
    finally:
        connection.close()


def ended(studio: Studio, job_id: str) -> Job:
    *_, last = studio.wait(job_id, poll_s=0.02)
    return last


def made(studio: Studio, job: Job) -> Video:
    """The video that a job becomes."""
    now = ended(studio, job.id)
    assert now.state == "done", now.reason
    return studio.video(now.id)


# The checkpoint of a machine, read on another: SHA-256, then a safetensors file, whose header holds our JSON


def checkpoint_state(data: bytes) -> dict[str, Any]:
    """The description inside a checkpoint."""
    (length,) = struct.unpack_from("<Q", data, 32)
    return json.loads(json.loads(data[40:40 + length])["__metadata__"]["state"])


def as_made_with(data: bytes, receipt: Receipt) -> bytes:
    """The checkpoint as if it had been made on the machine of `receipt`, by version 0.1.0."""
    (length,) = struct.unpack_from("<Q", data, 32)
    header, state = json.loads(data[40:40 + length]), checkpoint_state(data)
    here = receipt.document()
    here["environment"]["versions"]["studio"] = SAID["version"]
    state["origin"] |= {name: here[name] for name in ("environment", "weights_sha256", "scheduler_config")}
    header["__metadata__"]["state"] = json.dumps(state)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    whole = struct.pack("<Q", len(text)) + text + data[40 + length:]
    return hashlib.sha256(whole).digest() + whole


def is_of_this_machine(before: dict[str, Any], receipt: Receipt) -> bool:
    """Whether an environment of the fixture is the one of a video made here, except the version of the studio."""
    machine = {**before, "versions": {name: text for name, text in before["versions"].items() if name != "studio"}}
    return not differences(machine, asdict(receipt.environment))


# The folder, opened: once to look, then to work


@dataclass(frozen=True)
class Found:
    """The findings of the first look, before anything ran."""

    jobs: tuple[Job, ...]
    waiting: tuple[Job, ...]
    videos: dict[str, Video]
    trash: dict[str, Any]
    searches: dict[str, tuple[Query, list[str]]]
    sheet: bytes
    preview: bytes
    wrong: list[Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old") / "data"
    with zipfile.ZipFile(OLD / "0.1.0.zip") as file:
        file.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def settings(folder: Path, models_dir: Path) -> Settings:
    return Settings.from_env({}, data_dir=folder, models_dir=models_dir, model="tiny", device="cpu", min_free_mb=0,
                             trash_days=36_500)  # its trash is years old one day


@pytest.fixture(scope="module")
def found(settings: Settings) -> Found:
    def all_of(studio: Studio, query: Query) -> list[str]:
        return [entry.id for entry in studio.search(query).entries]

    with open_studio(settings, "visit") as studio:
        return Found(
            studio.jobs(oldest_first=True), studio.jobs(("queued",), oldest_first=True),
            {video_id: studio.video(video_id) for video_id in all_of(studio, Query(sort="oldest"))},
            {each.id: each for each in studio.bulk_actions.trash().videos},
            {saved.name: (saved.query, all_of(studio, saved.query)) for saved in studio.searches.all()},
            studio.contact_sheet_path(ID["audition"]).read_bytes(), studio.preview_path(ID["paused"]).read_bytes(),
            studio.verify())


@pytest.fixture(scope="module")
def studio(settings: Settings, found: Found) -> Iterator[Studio]:
    """The studio of today, which leads the old folder, with the real worker."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")  # as when the folder was made: it is part of what decides the frames
        with open_studio(settings) as opened:
            yield opened


@pytest.fixture(scope="module")
def again(studio: Studio) -> Video:
    """The first video of the old folder, made again."""
    return made(studio, studio.regenerate(ID["first"]))


# Nothing is lost


def test_every_job_is_there_as_it_was(found):
    assert [job.id for job in found.jobs] == list(JOBS)
    for now in map(job_document, found.jobs):
        assert differences({name: JOBS[now["id"]][name] for name in now}, now) == []
    assert {job.state for job in found.jobs} == {"done", "failed", "cancelled", "paused", "queued"}


def test_the_jobs_that_wait_stand_in_the_same_order(found):
    assert [(job.id, job.position) for job in found.waiting] == [(each, n) for n, each in enumerate(WAITING, 1)]
    assert [ID["waiting"], ID["waiting audition"], ID["waiting again"]] == WAITING


def test_every_video_is_there_with_its_recipe_receipt_verdict_tags_and_favourite(found):
    assert list(found.videos) == list(VIDEOS)
    for video_id, before in VIDEOS.items():
        now = json.loads(json.dumps(found.videos[video_id].document()))
        assert differences({**before, "schema": now["schema"]}, now) == []
    assert found.videos[ID["remix"]].favorite and found.videos[ID["remix"]].tags == ("Meer & Küste",)
    assert found.videos[ID["again"]].verdict.verdict == "identical"


def test_the_trash_holds_what_was_deleted(found):
    assert list(found.trash) == [each["id"] for each in SAID["trash"]] == [ID["trashed"]]
    trashed, before = found.trash[ID["trashed"]], SAID["trash"][0]
    assert trashed.deleted == before["deleted"]
    assert differences(before["video"]["receipt"], json.loads(json.dumps(trashed.video.receipt.document()))) == []


def test_the_saved_search_is_there_and_finds_the_same_videos(found):
    assert found.searches == {each["name"]: (query_from(each["query"]), each["finds"]) for each in SAID["searches"]}


def test_the_sheet_of_the_audition_and_the_picture_of_the_paused_job_are_there(found):
    assert found.sheet == zipped(f"auditions/{ID['audition']}.webp")
    assert found.preview == zipped(f"previews/{ID['paused']}.webp")


def test_a_check_of_the_old_folder_finds_nothing(found):
    assert found.wrong == []


def test_a_copy_of_the_queue_as_it_was_is_kept(studio, folder, tmp_path):
    before = tmp_path / "jobs.sqlite"
    before.write_bytes(zipped("jobs.sqlite"))
    kept = folder / "jobs.schema-5.sqlite"
    assert kept.is_file()
    assert user_version(kept) == user_version(before) == 5
    assert content(kept) == content(before)
    assert user_version(folder / "jobs.sqlite") > 5


# Unfinished jobs are finished


def test_the_jobs_that_waited_run_to_their_end_in_their_order(studio):
    jobs = [ended(studio, job_id) for job_id in WAITING]
    assert [(job.state, job.attempt) for job in jobs] == [("done", 1)] * 3, [job.reason for job in jobs]
    assert sorted(jobs, key=lambda job: job.started) == jobs
    asked = JOBS[ID["waiting"]]["request"]
    assert differences(asked, studio.video(ID["waiting"]).document()["request"]) == []
    assert studio.video(ID["waiting"]).owner == "ann"
    assert studio.contact_sheet_path(ID["waiting audition"]).read_bytes()[8:12] == b"WEBP"


def test_the_regeneration_that_waited_is_compared_with_its_parent_and_knows_its_story(studio):
    ended(studio, ID["waiting again"])
    video = studio.video(ID["waiting again"])
    assert video.parent == ID["remix"] and video.verdict.verdict in ALIKE
    assert differences(JOBS[video.id]["origin"], json.loads(json.dumps(video.origin.document()))) == []
    if is_of_this_machine(VIDEOS[ID["remix"]]["receipt"]["environment"], video.receipt):
        assert video.verdict.verdict == "identical"


def test_the_action_on_many_videos_that_was_accepted_is_done(studio, found):
    assert found.videos[ID["first"]].tags == ("ball", "to redo"), "it was not done before"
    until(lambda: not studio.bulk_actions.unfinished(), 30)
    assert studio.video(ID["first"]).tags == ("ball", "seen")
    assert studio.video(ID["outside"]).tags == ("holiday", "seen")
    assert {entry.id for entry in studio.search(Query(tags=("seen",))).entries} == {ID["first"], ID["outside"]}


def test_the_paused_job_resumes_where_it_was_and_makes_the_frames_of_one_that_never_stopped(studio, folder, again):
    path = folder / "checkpoints" / f"{ID['paused']}.ckpt"
    checkpoint = path.read_bytes()
    assert checkpoint == zipped(f"checkpoints/{path.name}")
    state, before = checkpoint_state(checkpoint), JOBS[ID["paused"]]
    assert 0 < state["step"] == before["done"] < before["total"]
    same = is_of_this_machine(state["origin"]["environment"], again.receipt)
    if not same:
        path.write_bytes(as_made_with(checkpoint, again.receipt))
    gone_on = made(studio, studio.resume(ID["paused"]))
    assert f"Continued after step {state['step']}" in studio.job(gone_on.id).reason
    straight = made(studio, studio.regenerate(gone_on.id))
    assert straight.receipt.noise_sha256 == gone_on.receipt.noise_sha256
    assert straight.verdict.verdict in ALIKE
    if same:
        assert straight.receipt.frames_sha256 == gone_on.receipt.frames_sha256
    assert not path.exists()


def test_an_old_video_is_made_again_and_is_identical(again):
    before = VIDEOS[ID["first"]]["receipt"]
    assert again.parent == ID["first"] and again.verdict.verdict in ALIKE
    if is_of_this_machine(before["environment"], again.receipt):
        assert (again.receipt.noise_sha256, again.receipt.frames_sha256) == (
            before["noise_sha256"], before["frames_sha256"])
        assert again.verdict.verdict == "identical"


def test_a_seed_of_the_old_audition_is_finished_with_the_noise_of_its_tile(studio):
    tried = JOBS[ID["audition"]]["audition"]
    video = made(studio, studio.finish(ID["audition"], tried["seeds"][2]))
    assert differences({"seed": tried["seeds"][2], "prompt": "a red ball"}, video.document()["request"]) == []
    if is_of_this_machine(VIDEOS[ID["first"]]["receipt"]["environment"], video.receipt):
        assert video.receipt.noise_sha256 == tried["noise_sha256"][2]


def test_the_video_in_the_trash_comes_back(studio):
    video = studio.bulk_actions.restore_one(ID["trashed"])
    assert video.receipt.frames_sha256 == SAID["trash"][0]["video"]["receipt"]["frames_sha256"]
    assert studio.library.mp4_path(video.id).read_bytes() == zipped(f"{video.id}.mp4")


def test_no_old_video_was_touched_by_any_of_that_and_a_check_finds_nothing(studio, again):
    for video_id in VIDEOS:
        assert studio.library.mp4_path(video_id).read_bytes() == zipped(f"{video_id}.mp4")
    assert studio.verify() == []
    assert {job.id: job.state for job in studio.jobs(("failed", "cancelled"))} == {
        ID["failed"]: "failed", ID["cancelled"]: "cancelled"}
