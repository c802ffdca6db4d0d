"""Bulk actions: accepted as one, done in pieces, stopped, undone, and finished after a crash."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import samples
from drawn import until
from filelock import FileLock
from older_ledger import make_older
from samples import mp4, video

from core import faults
from core.domain.video import Origin
from core.errors import BadRequest, NotFound
from core.jobs.dispatch.bulk_runner import BulkRunner
from core.jobs.queue.ledger import Ledger
from core.library.library import Library
from core.library.search.query import Query
from core.operations.disk_usage import disk_use
from core.settings import Settings
from core.studio import Studio

ROOT = Path(__file__).resolve().parent.parent
NOWHERE = "20200101-000000-abcdef"


def an_id(number: int) -> str:
    return f"20261122-{number:06d}-abcdef"


def fill(folder: Path, count: int) -> list[str]:
    library = Library(folder, writable=True)
    for number in range(count):
        library.publish(video(f"ball {number}", id=an_id(number), tags=("old",)), mp4()[0])
    library.close()
    return [an_id(number) for number in range(count)]


@pytest.fixture
def studio(tmp_path: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    """A studio with a library of five videos and no leader: it does all changes itself."""
    fill(tmp_path, 5)
    monkeypatch.setattr("core.operations.bulk_actions.PATIENCE_S", 60.0)  # a person does not have to see all at once
    settings = Settings.from_env({}, data_dir=tmp_path, models_dir=models_dir, model="tiny", device="cpu",
                                 min_free_mb=0, max_queued=4)
    opened = Studio(settings, role="visit")
    yield opened
    opened.close()


def test_tags_and_favourites_are_changed_and_what_else_is_there_stays(studio):
    ids = [an_id(0), an_id(1), an_id(3)]
    bulk = studio.bulk_actions.change(ids, add=["new", "ü"], remove=["old"])
    assert (bulk.done, bulk.total, bulk.refusals, bulk.stopped) == (3, 3, 0, False) and bulk.ended
    assert [studio.video(an_id(n)).tags for n in range(4)] == [("new", "ü"), ("new", "ü"), ("old",), ("new", "ü")]
    studio.bulk_actions.change(ids, favorite=True)
    assert set(studio.bulk_actions.found(Query(favorite=True))) == set(ids)
    assert studio.video(an_id(0)).tags == ("new", "ü")


def test_found_videos_come_in_order_with_their_bytes(studio):
    each = mp4()[1].bytes
    assert studio.bulk_actions.found(Query("ball", page_size=2, sort="oldest")) == {an_id(n): each for n in range(5)}
    assert list(studio.bulk_actions.found(Query())) == [an_id(n) for n in reversed(range(5))]


@pytest.mark.parametrize("wrong", [[], ["../../etc/passwd"], [an_id(0), "x"]])
def test_impossible_bulk_actions_are_refused_before_anything_is_done(studio, wrong):
    for action in (studio.bulk_actions.delete, studio.bulk_actions.restore, studio.bulk_actions.erase,
                   lambda ids: studio.bulk_actions.change(ids, favorite=True)):
        with pytest.raises(BadRequest):
            action(wrong)
    assert studio.search(Query()).total == 5 and studio.bulk_actions.unfinished() == ()


def test_nothing_chosen_is_nothing_asked_for_again(studio):
    with pytest.raises(BadRequest, match="no video was chosen"):
        studio.bulk_actions.regenerate([])


def test_a_tag_that_cannot_be_is_refused_before_anything_is_done(studio):
    for tags in ({}, {"add": ["x" * 65]}, {"add": [" "]}):
        with pytest.raises(BadRequest, match="tags"):
            studio.bulk_actions.change([an_id(0)], **tags)
    assert studio.video(an_id(0)).tags == ("old",)


def test_one_video_that_refuses_does_not_keep_the_others_from_it(studio):
    studio.library.sidecar_path(an_id(1)).write_bytes(b"half of a side")
    bulk = studio.bulk_actions.change([an_id(0), an_id(1), NOWHERE, an_id(2)], add=["new"])
    assert (bulk.done, bulk.refusals) == (4, 2) and [each for each, _ in bulk.refused] == [an_id(1), NOWHERE]
    assert "is damaged" in bulk.refused[0][1] and "There is no video" in bulk.refused[1][1]
    assert set(studio.bulk_actions.found(Query("new"))) == {an_id(0), an_id(2)}


def test_many_are_deleted_together_and_undone(studio):
    kept = [studio.video(an_id(n)) for n in range(5)]
    bulk = studio.bulk_actions.delete([an_id(n) for n in range(4)] + [NOWHERE])
    assert (bulk.done, bulk.refusals) == (5, 0) and studio.search(Query()).total == 1
    trash = studio.bulk_actions.trash()
    assert len({each.deleted for each in trash.videos}) == 1 and trash.total == 4
    undone = studio.bulk_actions.undo(bulk.id)
    assert [each for each, _ in undone.refused] == [NOWHERE]
    assert samples.found(studio, Query(sort="oldest")) == tuple(kept) and studio.bulk_actions.trash().total == 0


def test_undoing_what_was_stopped_brings_back_what_it_deleted_and_counts_no_more(studio):
    bulks = studio.ledger.bulk_queue
    bulk = bulks.add("delete", tuple(an_id(number) for number in range(4)), {})
    with FileLock(studio.settings.data_dir / "studio.lock"):  # somebody leads, and is stopped after the first
        library = Library(studio.settings.data_dir, writable=True)
        BulkRunner(bulks, library).tick(seconds=0)
        bulks.request_stop(bulk.id)
        BulkRunner(bulks, library).tick()
        library.close()
    assert studio.bulk_actions.bulk(bulk.id).done == 1 and studio.bulk_actions.trash().total == 1
    undone = studio.bulk_actions.undo(bulk.id)
    assert (undone.total, undone.refusals, studio.search(Query()).total) == (1, 0, 5)


def test_videos_that_are_being_deleted_are_not_called_damaged(tmp_path):
    ids, damaged = fill(tmp_path, 60), []
    library = Library(tmp_path, writable=True)
    with library.together(), ThreadPoolExecutor(1) as beside:
        deleting = beside.submit(lambda: [library.delete(each) for each in ids])
        while not deleting.done():
            damaged += library.search(Query(page_size=60)).damaged
    library.close()
    assert damaged == []


def test_the_trash_is_emptied_and_what_is_in_the_library_stays(studio):
    studio.bulk_actions.delete([an_id(0), an_id(1), an_id(2)])
    assert studio.bulk_actions.erase([an_id(0), an_id(4)]).refusals == 0
    assert studio.bulk_actions.trash().total == 2 and studio.search(Query()).total == 2
    studio.bulk_actions.empty_trash()
    assert studio.bulk_actions.trash().total == 0 and studio.search(Query()).total == 2
    with pytest.raises(BadRequest, match="No video"):
        studio.bulk_actions.empty_trash()


def test_many_are_asked_for_again_and_those_that_cannot_be_are_told_one_by_one(studio):
    for number in range(2):
        wanted = video("for the tiny model", model="tiny", id=f"20261123-{number:06d}-abcdef")
        samples.publish(studio, wanted, mp4()[0])
    studio.library.sidecar_path(an_id(0)).write_bytes(b"half of a side")
    ids = ["20261123-000000-abcdef", an_id(0), "20261123-000001-abcdef"]
    queued = studio.bulk_actions.regenerate(ids, owner="ann")
    assert [job.task.parent for job in queued.jobs] == [ids[0], ids[2]]
    assert studio.jobs(oldest_first=True) == queued.jobs
    assert {(job.task.relation, job.owner) for job in queued.jobs} == {("regenerate", "ann")}
    ((refused, why),) = queued.refused
    assert refused == an_id(0) and "is damaged" in why
    with pytest.raises(BadRequest, match="room for 2 more, and 3 videos were chosen. Nothing was queued"):
        studio.bulk_actions.regenerate(ids)
    assert len(studio.jobs()) == 2


def test_an_archive_is_asked_for_by_a_name_that_says_nothing_and_is_forgotten_in_time(studio):
    name = studio.bulk_actions.pack([an_id(0), an_id(1), "../x"])
    assert studio.bulk_actions.packed(name) == (an_id(0), an_id(1))
    assert studio.bulk_actions.pack([an_id(0), an_id(1)]) == name
    for number in range(40):
        studio.bulk_actions.pack([an_id(number)])
    with pytest.raises(NotFound, match="not offered any more"):
        studio.bulk_actions.packed(name)


def test_the_disk_is_measured_and_a_file_with_two_names_counts_once(studio, tmp_path):
    studio.bulk_actions.delete([an_id(0)])
    used = studio.bulk_actions.disk()
    sizes = {path: path.stat().st_size for path in (tmp_path / "library").rglob("*") if path.is_file()}
    trashed = sum(size for path, size in sizes.items() if "trash" in path.parts)
    assert (used.trash, used.library) == (trashed, sum(sizes.values()) - trashed) and used.free > 0
    assert used.models >= sum(path.stat().st_size for path in studio.settings.models_dir.rglob("*.safetensors"))
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a").write_bytes(b"x" * 1000)
    (tmp_path / "m" / "b").hardlink_to(tmp_path / "m" / "a")
    (tmp_path / "m" / "c").symlink_to(tmp_path / "m" / "a")
    there, nowhere = tmp_path / "m", tmp_path / "none"
    used = disk_use(nowhere, there, [there, nowhere])
    assert (used.library, used.derived, used.models) == (0, 1000, 1000)


def test_where_nobody_leads_a_bulk_action_runs_beside_a_single_change_and_resumes_after_a_restart(studio, monkeypatch):
    monkeypatch.setattr("core.operations.bulk_actions.PATIENCE_S", 0.0)
    with FileLock(studio.settings.data_dir / "studio.lock"):  # somebody leads, and ends before it begins
        bulk = studio.bulk_actions.delete([an_id(n) for n in range(4)])
        studio.close()
    assert bulk.ended is None and bulk.done == 0
    again = Studio(studio.settings, role="visit")
    assert [each.id for each in again.bulk_actions.unfinished()] == [bulk.id]
    assert again.change(an_id(4), favorite=True).favorite
    assert until(lambda: not again.bulk_actions.unfinished(), 60)
    assert again.bulk_actions.trash().total == 4 and again.search(Query()).total == 1 and not again.leads
    again.close()
    with FileLock(studio.settings.data_dir / "studio.lock", timeout=0):
        pass  # and the library belongs to nobody again


# In pieces


@pytest.fixture
def work(tmp_path: Path) -> Iterator[tuple[Ledger, Library, BulkRunner]]:
    fill(tmp_path, 6)
    ledger, library = Ledger(tmp_path / "jobs.sqlite"), Library(tmp_path, writable=True)
    yield ledger, library, BulkRunner(ledger.bulk_queue, library)
    library.close()
    ledger.close()


def test_a_piece_is_one_video_when_time_is_up_and_each_is_noted(work):
    ledger, library, working = work
    assert not working.tick()
    bulk = ledger.bulk_queue.add("change", [an_id(n) for n in range(3)], {"favorite": True})
    seen = []
    while working.tick(seconds=0):
        seen.append(ledger.bulk_queue.get(bulk.id).done)
    assert seen == [1, 2, 3] and library.search(Query(favorite=True)).total == 3
    assert ledger.bulk_queue.get(bulk.id).ended and ledger.bulk_queue.unfinished() == ()


def test_a_stopped_bulk_action_leaves_the_rest_undone_and_the_next_one_begins(work):
    ledger, library, working = work
    first = ledger.bulk_queue.add("delete", [an_id(n) for n in range(4)], {})
    second = ledger.bulk_queue.add("change", [an_id(5)], {"add": ["after"]})
    working.tick(seconds=0)
    ledger.bulk_queue.request_stop(first.id)
    while working.tick(seconds=0):
        pass
    ended = ledger.bulk_queue.get(first.id)
    assert (ended.stopped, ended.done, ended.total) == (True, 1, 4) and not ledger.bulk_queue.get(second.id).stopped
    assert library.search(Query()).total == 5 and library.get(an_id(5)).tags == ("old", "after")


def test_the_index_is_not_written_for_each_video_of_a_bulk(work):
    ledger, library, working = work
    path = library.data_dir / "index.json"
    before = path.stat().st_ino  # each writing is a rename, and gives the file another number
    ledger.bulk_queue.add("change", [an_id(n) for n in range(6)], {"favorite": True})
    working.tick(seconds=60)
    assert path.stat().st_ino == before and library.search(Query(favorite=True)).total == 6
    reader = Library(library.data_dir, writable=False)
    library.close()
    assert path.stat().st_ino != before and reader.search(Query(favorite=True)).total == 6
    reader.close()


def test_ended_bulks_are_forgotten_and_others_are_not(work):
    ledger, _, working = work
    for _ in range(2):
        ledger.bulk_queue.add("change", [an_id(0)], {"favorite": True})
    working.tick()
    ledger.bulk_queue.forget("2099-01-01")
    (left,) = ledger.bulk_queue.unfinished()
    assert ledger.bulk_queue.videos(left.id) == [an_id(0)] and ledger.bulk_queue.videos(left.id - 1) == []
    with pytest.raises(NotFound):
        ledger.bulk_queue.get(left.id - 1)


def test_only_the_first_of_very_many_refusals_are_kept_word_for_word(work):
    ledger, _, working = work
    bulk = ledger.bulk_queue.add("restore", [f"20200101-{n:06d}-abcdef" for n in range(150)], {})
    while working.tick():
        pass
    ended = ledger.bulk_queue.get(bulk.id)
    assert (ended.done, ended.refusals, len(ended.refused)) == (150, 150, 100)


# Crashes

WORK = """
import sys
from pathlib import Path
from core.jobs.dispatch.bulk_runner import BulkRunner
from core.jobs.queue.ledger import Ledger
from core.library.library import Library
folder = Path(sys.argv[1])
ledger, library = Ledger(folder / "jobs.sqlite"), Library(folder, writable=True)
work = BulkRunner(ledger.bulk_queue, library)
while work.tick(seconds=0):
    pass
library.close()
"""


@pytest.mark.parametrize(("action", "point"), [
    *[("delete", point) for point in (*faults.TRASH, *faults.BULK_POINTS)],
    *[("change", point) for point in (*faults.CHANGE, *faults.BULK_POINTS)],
    *[("restore", point) for point in (*faults.RESTORE, *faults.BULK_POINTS)],
    *[("erase", point) for point in (*faults.ERASE, *faults.BULK_POINTS)]])
def test_a_bulk_killed_anywhere_is_finished_by_the_next_process(tmp_path, action, point):
    ids = fill(tmp_path, 3)
    ledger, library = Ledger(tmp_path / "jobs.sqlite"), Library(tmp_path, writable=True)
    kept = [library.get(each) for each in ids]
    if action in ("restore", "erase"):
        for each in ids:
            library.delete(each)
    library.close()
    args = {"add": ["new"], "remove": ["old"], "favorite": True} if action == "change" else {}
    bulk = ledger.bulk_queue.add(action, ids, args)

    def work(fault: str) -> int:
        return subprocess.run([sys.executable, "-c", WORK, tmp_path], cwd=ROOT, check=False,
                              env={**os.environ, "T2V_FAULT": fault}).returncode

    assert work(point) == -signal.SIGKILL, f"{point} is never reached"
    assert ledger.bulk_queue.unfinished()
    assert work("") == 0
    ended = ledger.bulk_queue.get(bulk.id)
    assert (ended.done, ended.refusals, ended.stopped) == (3, 0, False)
    library = Library(tmp_path, writable=True)
    expected = {"change": [replace(each, tags=("new",), favorite=True) for each in kept], "restore": kept}
    assert list(samples.found(library, Query(sort="oldest"))) == expected.get(action, [])
    assert library.trash.page().total == (3 if action == "delete" else 0) and library.verify() == []
    library.close()
    ledger.close()


def test_a_queued_child_knows_its_parent_from_the_moment_it_is_asked_for(studio):
    parent = studio.video(an_id(0))
    studio.bulk_actions.regenerate([parent.id])
    studio.bulk_actions.delete_one(parent.id, for_good=True)
    (job,) = studio.jobs()
    assert job.task.origin == Origin("regenerate", parent.created, parent.recipe)


@pytest.mark.parametrize("schema", [1, 2, 3])
def test_a_ledger_of_a_schema_before_bulk_actions_gets_their_tables(tmp_path, schema):
    path = tmp_path / "jobs.sqlite"
    Ledger(path).close()
    make_older(path, schema)
    ledger = Ledger(path)
    assert ledger.bulk_queue.add("delete", [an_id(0)], {}).total == 1
    ledger.close()


@pytest.mark.parametrize("schema", [4, 5])
def test_a_bulk_action_that_an_older_schema_left_half_done_is_finished(work, tmp_path, schema):
    ledger, library, working = work
    bulk = ledger.bulk_queue.add("change", [an_id(n) for n in range(3)], {"add": ["new"], "favorite": None})
    working.tick(seconds=0)
    ledger.close()
    make_older(tmp_path / "jobs.sqlite", schema)
    reopened = Ledger(tmp_path / "jobs.sqlite")
    assert reopened.bulk_queue.get(bulk.id).done == 1
    again = BulkRunner(reopened.bulk_queue, library)
    while again.tick():
        pass
    assert reopened.bulk_queue.get(bulk.id).ended and set(library.found(Query("tag:new"))) == {
        an_id(n) for n in range(3)}
    reopened.close()
