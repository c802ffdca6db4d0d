"""The leader of a data directory: one process leads, others ask it for changes, and one of these takes over."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import drawn
import pytest
from drawn import until, video_of
from filelock import FileLock, Timeout
from samples import mp4, video

from core.errors import BadRequest, DiskFull, NewerLibrary, NotFound, ReadOnly, StudioError
from core.jobs.executors.inline import InlineExecutor
from core.jobs.queue.ledger import Ledger
from core.jobs.worker.host import WorkerHost
from core.jobs.worker.renderer import Renderer
from core.library.changes import ChangeVideo, DeleteVideo, Reindex
from core.library.library import Library
from core.library.search.index import FORMAT
from core.library.search.query import Query
from core.operations import leadership as rules
from core.operations.leadership import Leadership
from core.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
COUNT = 4


def an_id(number: int) -> str:
    return f"20261122-{number:06d}-abcdef"


def settings_for(folder: Path) -> Settings:
    return Settings.from_env({}, data_dir=folder, models_dir=folder / "models", model="drawn", device="cpu",
                             preload=False)


def worker_in_a_thread(settings: Settings) -> InlineExecutor:
    return InlineExecutor(lambda on_news: WorkerHost(lambda: Renderer(drawn.DrawnEngine(settings.data_dir)), on_news))


class Process:
    """The part of a studio's process that leads: a ledger, and its place on the data directory."""

    def __init__(self, folder: Path, role: str = "run") -> None:
        self.ledger = Ledger(folder / "jobs.sqlite")
        try:
            self.place = Leadership(settings_for(folder), self.ledger, role, worker_in_a_thread)
        except BaseException:
            self.ledger.close()
            raise

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.place.close()
        self.ledger.close()

    @property
    def library(self) -> Library:
        return self.place.library

    def favorites(self) -> int:
        return self.library.search(Query(favorite=True)).total


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory with some videos, and processes with shorter waits than in use."""
    monkeypatch.setattr(rules, "STAND_BY_S", 0.05)
    library = Library(tmp_path, writable=True)
    for number in range(COUNT):
        library.publish(video(f"ball {number}", id=an_id(number)), mp4()[0])
    library.close()
    return tmp_path


def is_free(folder: Path) -> bool:
    """Whether no process owns the library."""
    lock = FileLock(folder / "studio.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    lock.release()
    return True


def threads(*names: str) -> list[str]:
    return [each.name for each in threading.enumerate() if each.name in names]


# Leading and visiting


def test_the_first_leads_and_the_second_reads(folder):
    with Process(folder) as first, Process(folder) as second:
        assert first.place.leads and first.library.writable and first.place.dispatcher is not None
        assert not second.place.leads and not second.library.writable and second.place.dispatcher is None
        assert first.place.somebody_leads() and second.place.somebody_leads()
        assert second.library.search(Query()).total == COUNT
        with pytest.raises(ReadOnly):
            second.library.delete(an_id(0))
        assert (first.place.problem, second.place.problem) == ("", "")


def test_a_visitor_leaves_the_lead_to_others_even_where_nobody_has_it(folder):
    with Process(folder, "visit") as visitor:
        assert not visitor.place.leads and not visitor.place.somebody_leads() and is_free(folder)
        assert not visitor.place.somebody_leads(), "asking does not take it"
        with Process(folder) as other:
            assert other.place.leads and visitor.place.somebody_leads()
        assert not visitor.place.somebody_leads()
        assert threads("stand-by") == []


def test_a_leader_runs_the_jobs_of_others(folder):
    with Process(folder) as leader, Process(folder, "visit") as visitor:
        job = visitor.ledger.add(video_of(drawn.RECIPE))
        until(lambda: visitor.ledger.get(job.id).has_ended)
        assert visitor.library.get(job.id).recipe == drawn.RECIPE == leader.library.get(job.id).recipe


def test_a_failed_opening_leaves_nothing_locked(folder):
    (folder / "library").rename(folder / "elsewhere")
    (folder / "library").write_text("a file where a folder must be", encoding="utf-8")
    with pytest.raises((StudioError, OSError)):
        Process(folder)
    assert is_free(folder) and threads("dispatcher", "render", "stand-by") == []
    (folder / "library").unlink()
    (folder / "elsewhere").rename(folder / "library")
    with Process(folder) as process:
        assert process.place.leads


def test_a_library_of_a_newer_studio_is_looked_at_and_nobody_stands_by_for_it(folder):
    path = folder / "index.json"
    path.write_bytes(path.read_bytes().replace(b'"format":%d' % FORMAT, b'"format":99'))
    with Process(folder) as process:
        assert not process.place.leads and "newer studio" in process.place.problem
        assert process.place.problem == process.library.newer
        assert threads("stand-by") == [] and is_free(folder)
        with process.place.staying():
            assert is_free(folder)
        process.place.work_off()
        assert is_free(folder) and threads("bulks") == []
        with pytest.raises(NewerLibrary):
            process.place.change(DeleteVideo(an_id(0)))
        assert is_free(folder)


# Taking over


def test_another_takes_over_when_the_leader_ends_and_resumes_its_jobs(folder):
    with Process(folder) as first, Process(folder) as second, Process(folder, "visit") as visitor:
        job = first.ledger.add(video_of(drawn.RECIPE))
        until(lambda: first.ledger.get(job.id).has_ended)
        first.place.close()
        until(lambda: second.place.leads)
        after = visitor.ledger.add(video_of(drawn.RECIPE))
        until(lambda: visitor.ledger.get(after.id).has_ended)
        assert second.library.writable and second.library.get(after.id) and not visitor.place.leads
        assert threads("stand-by") == []


def lead_until_killed(folder: Path) -> None:
    """The work of the process that is killed below."""
    with Process(folder) as process:
        print("leads" if process.place.leads else "does not lead", flush=True)
        threading.Event().wait()


def test_another_takes_over_when_the_leaders_process_is_killed(folder):
    code = "import sys, pathlib; sys.path[:0] = ['tests', '']; import test_leadership\n" \
           "test_leadership.lead_until_killed(pathlib.Path(sys.argv[1]))"
    with subprocess.Popen([sys.executable, "-c", code, str(folder)], cwd=ROOT, stdout=subprocess.PIPE,
                          text=True) as child:
        assert child.stdout.readline() == "leads\n"
        with Process(folder) as second:
            job = second.ledger.add(video_of(drawn.RECIPE))
            until(lambda: second.ledger.get(job.id).state != "queued")
            assert not second.place.leads
            child.send_signal(signal.SIGKILL)
            until(lambda: second.place.leads)
            until(lambda: second.ledger.get(job.id).has_ended)
            assert second.ledger.get(job.id).state == "done" and second.library.get(job.id)


def test_only_one_of_many_takes_over(folder):
    with Process(folder) as first, Process(folder) as second, Process(folder) as third:
        first.place.close()
        until(lambda: second.place.leads or third.place.leads)
        assert second.place.leads != third.place.leads


def test_taking_over_that_fails_is_said_and_tried_again(folder):
    with FileLock(folder / "studio.lock"):  # as a leader in another process holds it
        second = Process(folder)
        (folder / "library").rename(folder / "elsewhere")
        (folder / "library").write_text("a file where a folder must be", encoding="utf-8")
    with second:
        until(lambda: second.place.problem)
        assert not second.place.leads
        (folder / "library").unlink()
        (folder / "elsewhere").rename(folder / "library")
        until(lambda: second.place.leads)
        assert second.place.problem == "" and second.library.search(Query()).total == COUNT


# A change


def test_the_leader_makes_a_change_itself(folder):
    with Process(folder) as leader:
        answer = leader.place.change(ChangeVideo(an_id(0), ("night",), True))
        assert answer == leader.library.get(an_id(0)).document() and answer["tags"] == ["night"]
        assert leader.ledger.next_command() is None
        with pytest.raises(NotFound):
            leader.place.change(DeleteVideo(an_id(9)))


def test_where_nobody_leads_a_visitor_owns_the_library_for_one_change(folder):
    with Process(folder, "visit") as visitor:
        assert visitor.place.change(ChangeVideo(an_id(0), favorite=True))["favorite"]
        assert is_free(folder) and visitor.favorites() == 1
        for refused, error in ((DeleteVideo(an_id(9)), NotFound), (ChangeVideo(an_id(0), ("x" * 65,)), BadRequest)):
            with pytest.raises(error):
                visitor.place.change(refused)
            assert is_free(folder)
        assert not visitor.library.writable and visitor.ledger.next_command() is None


def test_the_leader_makes_the_change_of_a_visitor_and_answers_in_its_words(folder):
    with Process(folder) as leader, Process(folder, "visit") as visitor:
        answer = visitor.place.change(ChangeVideo(an_id(0), favorite=True))
        assert answer == leader.library.get(an_id(0)).document()
        assert visitor.place.change(Reindex())["videos"] == COUNT
        with pytest.raises(NotFound, match=an_id(9)):
            visitor.place.change(DeleteVideo(an_id(9)))
        with pytest.raises(BadRequest) as refused:
            visitor.place.change(ChangeVideo(an_id(0), ("x" * 65,)))
        assert refused.value.field == "tags"
        until(lambda: visitor.favorites() == 1)  # the leader writes its index a moment later


def test_a_change_that_the_leader_does_not_begin_is_withdrawn_and_never_made(folder, monkeypatch):
    with Process(folder, "visit") as visitor:
        with FileLock(folder / "studio.lock"), monkeypatch.context() as patience:  # a leader that looks at nothing
            patience.setattr(rules, "COMMAND_TIMEOUT_S", 0.2)
            with pytest.raises(ReadOnly, match="nothing was changed"):
                visitor.place.change(DeleteVideo(an_id(0)))
        with Process(folder) as leader:
            assert leader.place.leads
            assert visitor.place.change(DeleteVideo(an_id(1))) == {"trashed": True}
            assert leader.library.has(an_id(0)) and not leader.library.has(an_id(1))


def test_a_change_that_the_leader_has_begun_and_not_ended_is_said_to_be_so(folder, monkeypatch):
    monkeypatch.setattr(rules, "COMMAND_TIMEOUT_S", 0.2)
    taken = []
    with Process(folder, "visit") as visitor, Process(folder, "visit") as leader, FileLock(folder / "studio.lock"):
        asking = threading.Thread(target=lambda: taken.append(until(leader.ledger.next_command)))
        asking.start()
        with pytest.raises(StudioError, match="is still busy with it"):
            visitor.place.change(DeleteVideo(an_id(0)))
        asking.join()
        assert [command.kind for command in taken] == ["delete"]


def test_a_change_goes_to_the_leader_of_that_moment(folder):
    with Process(folder, "visit") as visitor:
        for number in range(3):
            with Process(folder):
                assert visitor.place.change(ChangeVideo(an_id(number), favorite=True))["favorite"]
            assert not visitor.place.change(ChangeVideo(an_id(number), favorite=False))["favorite"]
        assert visitor.favorites() == 0


# Many changes


def test_while_it_stays_a_visitor_owns_the_library_and_afterwards_nobody(folder):
    with Process(folder, "visit") as visitor, Process(folder, "visit") as other:
        with visitor.place.staying():
            assert not is_free(folder) and other.place.somebody_leads() and not visitor.place.somebody_leads()
            with visitor.place.staying():  # as an import that is begun inside
                visitor.place.change(ChangeVideo(an_id(0), favorite=True))
            assert not is_free(folder), "it is not opened anew for each change"
            visitor.place.change(ChangeVideo(an_id(1), favorite=True))
            assert not is_free(folder)
        assert is_free(folder) and other.favorites() == visitor.favorites() == 2
        with pytest.raises(DiskFull), visitor.place.staying():
            raise DiskFull("There is no room left.")
        assert is_free(folder)


def test_a_leader_or_a_process_with_a_leader_owns_nothing_more_while_it_stays(folder):
    with Process(folder) as leader, Process(folder, "visit") as visitor:
        with leader.place.staying(), visitor.place.staying():
            assert visitor.place.change(ChangeVideo(an_id(0), favorite=True))["favorite"]
            assert leader.place.change(ChangeVideo(an_id(1), favorite=True))["favorite"]
        assert leader.place.leads and leader.library.writable and not is_free(folder)


def test_a_process_that_stands_by_does_not_take_over_in_the_middle_of_its_own_changes(folder):
    with FileLock(folder / "studio.lock"):
        second = Process(folder)
    with second:
        until(lambda: second.place.leads)  # nobody else does
        with second.place.staying():
            assert second.place.change(ChangeVideo(an_id(0), favorite=True))["favorite"]
        assert second.place.leads


def test_the_leader_works_off_the_bulk_actions_of_a_visitor(folder):
    with Process(folder) as leader, Process(folder, "visit") as visitor:
        bulk = visitor.ledger.bulk_queue.add("change", [an_id(n) for n in range(COUNT)], {"favorite": True})
        visitor.place.work_off()
        leader.place.work_off()
        until(lambda: visitor.ledger.bulk_queue.get(bulk.id).ended)
        assert leader.favorites() == COUNT and threads("bulks") == []


def test_where_nobody_leads_a_visitor_works_off_the_bulk_actions_beside_single_changes(folder):
    with Process(folder, "visit") as visitor:
        bulk = visitor.ledger.bulk_queue.add("change", [an_id(n) for n in range(COUNT)], {"favorite": True})
        visitor.place.work_off()
        visitor.place.work_off()  # asked twice, done once
        assert visitor.place.change(ChangeVideo(an_id(0), ("night",)))["tags"] == ["night"]
        until(lambda: visitor.ledger.bulk_queue.get(bulk.id).ended)
        until(lambda: threads("bulks") == [])
        assert is_free(folder) and visitor.favorites() == COUNT
        assert visitor.ledger.bulk_queue.get(bulk.id).refusals == 0
        assert visitor.library.get(an_id(0)).tags == ("night",)


def test_where_nobody_leads_any_process_finishes_what_another_left(folder):
    with Process(folder, "visit") as first, FileLock(folder / "studio.lock"):  # a leader, which then ends
        bulk = first.ledger.bulk_queue.add("delete", [an_id(n) for n in range(COUNT)], {})
        first.place.work_off()
        assert threads("bulks") == []
    with Process(folder, "visit") as second:
        second.place.work_off()
        until(lambda: second.ledger.bulk_queue.get(bulk.id).ended)
        assert second.library.search(Query()).total == 0 and len(second.library.trash.content()) == COUNT


def test_a_bulk_action_that_meets_trouble_reports_it_and_continues_when_it_is_over(folder):
    with Process(folder, "visit") as visitor, closing(sqlite3.connect(folder / "jobs.sqlite",
                                                                      isolation_level=None)) as other:
        bulk = visitor.ledger.bulk_queue.add("change", [an_id(n) for n in range(COUNT)], {"favorite": True})
        visitor.ledger._database._writer.execute("PRAGMA busy_timeout=10")
        other.execute("BEGIN IMMEDIATE")
        visitor.place.work_off()
        until(lambda: visitor.place.problem)
        assert visitor.place.problem == "The queue is busy with another process; try again in a moment."
        other.execute("COMMIT")
        until(lambda: visitor.ledger.bulk_queue.get(bulk.id).ended)
        until(lambda: threads("bulks") == [])
        assert visitor.place.problem == "" and is_free(folder)


# Closing


@pytest.mark.parametrize("role", ["run", "visit"])
def test_closing_twice_is_once_and_leaves_nothing_behind(folder, role):
    with Process(folder, role) as process:
        for _ in range(2):
            process.place.close()
            assert is_free(folder) and not process.place.leads
        assert threads("dispatcher", "stand-by", "bulks") == []


def test_a_process_that_stands_by_and_is_closed_never_takes_over(folder):
    with Process(folder) as first, Process(folder) as second:
        for _ in range(2):
            second.place.close()
        first.place.close()
        until(lambda: threads("stand-by") == [])
        assert not second.place.leads and is_free(folder)


def test_closing_in_the_middle_of_staying_keeps_what_was_done(folder):
    with Process(folder, "visit") as visitor:
        with visitor.place.staying():
            visitor.place.change(ChangeVideo(an_id(0), favorite=True))
            visitor.place.close()
            assert is_free(folder)
        visitor.place.close()
        assert is_free(folder)
    with Process(folder, "visit") as again:
        assert again.favorites() == 1


def test_closing_in_the_middle_of_a_bulk_action_leaves_the_rest_for_later(folder, monkeypatch):
    fsync = os.fsync

    def slowly(file: int) -> None:
        time.sleep(0.2)  # longer than a piece takes: each is one video
        fsync(file)

    monkeypatch.setattr(os, "fsync", slowly)
    with Process(folder, "visit") as visitor:
        bulk = visitor.ledger.bulk_queue.add("change", [an_id(n) for n in range(COUNT)], {"favorite": True})
        visitor.place.work_off()
        until(lambda: visitor.ledger.bulk_queue.get(bulk.id).done)
        visitor.place.close()
        assert is_free(folder) and threads("bulks") == []
        left = visitor.ledger.bulk_queue.get(bulk.id)
        assert 0 < left.done < COUNT and left.ended is None
    with Process(folder) as leader:
        until(lambda: leader.ledger.bulk_queue.get(bulk.id).ended)
        assert leader.favorites() == COUNT
