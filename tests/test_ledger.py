"""The ledger: nothing accepted is lost, nothing runs twice, every refusal has a reason."""

import json
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from older_ledger import make_older

from core.domain.progress import Progress
from core.domain.recipe import Recipe
from core.domain.video import Origin
from core.errors import BadRequest, DiskFull, NotFound, ReadOnly, StudioError
from core.jobs.kinds.audition import Audition
from core.jobs.kinds.generate import Generate
from core.jobs.queue.database import SCHEMA
from core.jobs.queue.ledger import Ledger

ROOT = Path(__file__).resolve().parent.parent
RECIPE = Recipe("a red ball", "blurry", "tiny", 4, 2, 5.0, 8, 2**63 - 1, 32, 32, "ddim", "exact")
TASK = Generate(RECIPE)
AGAIN = Generate(RECIPE, "20261122-081301-a1b2c3", Origin("regenerate"))


def python(code: str, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_an_accepted_job_is_found_by_another_process_at_once(ledger, tmp_path):
    job = ledger.add(AGAIN, owner="ada")
    child = python("import sys, pathlib; from core.jobs.queue.ledger import Ledger\n"
                   "ledger = Ledger(pathlib.Path(sys.argv[1])); print(ledger.get(sys.argv[2])); ledger.close()",
                   str(tmp_path / "jobs.sqlite"), job.id)
    assert child.communicate()[0].strip() == str(job)
    assert (job.task, job.kind, job.task.relation) == (AGAIN, "generate", "regenerate")
    assert (job.state, job.position, job.attempt, job.ended) == ("queued", 1, 0, None)


def test_jobs_are_claimed_in_the_order_they_were_accepted_whatever_their_ids(ledger):
    jobs = [ledger.add(TASK) for _ in range(20)]
    assert [job.position for job in ledger.list(["queued"], oldest_first=True)] == list(range(1, 21))
    assert [ledger.claim("worker").id for _ in jobs] == [job.id for job in jobs]
    assert ledger.claim("worker") is None
    assert ledger.counts() == {"running": 20}


def test_four_processes_claim_two_hundred_jobs_and_none_twice(ledger, tmp_path):
    ids = {ledger.add(TASK).id for _ in range(200)}
    code = ("import sys, pathlib; from core.jobs.queue.ledger import Ledger\n"
            "ledger = Ledger(pathlib.Path(sys.argv[1]))\n"
            "while job := ledger.claim(sys.argv[2]): print(job.id)\n"
            "ledger.close()")
    children = [python(code, str(tmp_path / "jobs.sqlite"), f"worker-{n}") for n in range(4)]
    claimed = [line for child in children for line in child.communicate()[0].split()]
    assert len(claimed) == 200
    assert set(claimed) == ids


def test_two_hundred_threads_submit_and_all_are_accepted_with_ids_of_their_own(ledger):
    found = []
    threads = [threading.Thread(target=lambda: found.append(ledger.add(TASK).id)) for _ in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 200
    assert ledger.counts() == {"queued": 200}


def test_a_full_queue_refuses_and_leaves_nothing_behind(ledger):
    for _ in range(3):
        ledger.add(TASK, max_queued=3)
    with pytest.raises(BadRequest, match="The queue is full: 3 jobs wait already"):
        ledger.add(TASK, max_queued=3)
    assert ledger.counts() == {"queued": 3}
    ledger.claim("worker")
    ledger.add(TASK, max_queued=3)


def test_many_processes_never_put_more_than_the_limit_into_the_queue(tmp_path):
    code = ("import sys, pathlib; from core.jobs.queue.ledger import Ledger; from core.errors import BadRequest\n"
            "sys.path.insert(0, 'tests'); from drawn import TASK\n"
            "ledger = Ledger(pathlib.Path(sys.argv[1])); accepted = 0\n"
            "for _ in range(20):\n"
            "    try: ledger.add(TASK, max_queued=30); accepted += 1\n"
            "    except BadRequest: pass\n"
            "ledger.close(); print(accepted)")
    children = [python(code, str(tmp_path / "jobs.sqlite")) for _ in range(4)]  # they also race to make the file
    assert sum(int(child.communicate()[0]) for child in children) == 30


def test_a_waiting_job_is_cancelled_at_once_and_a_running_one_is_asked(ledger):
    first, second = ledger.add(TASK), ledger.add(TASK)
    cancelled = ledger.request_cancel(first.id)
    assert (cancelled.state, cancelled.reason) == ("cancelled", "Cancelled before it began.")
    assert cancelled.ended
    assert ledger.claim("worker").id == second.id
    assert ledger.request_cancel(second.id).state == "running"
    assert ledger.get(second.id).cancel_requested
    assert ledger.request_cancel(first.id) == cancelled  # a job that has ended stays as it is
    with pytest.raises(NotFound):
        ledger.request_cancel("20261122-081301-a1b2c3")


def test_a_move_is_made_once_and_only_by_the_current_attempt(ledger):
    ledger.add(TASK)
    job = ledger.claim("worker")
    assert not ledger.move(job.id, job.attempt + 1, ["running"], "done")
    assert ledger.move(job.id, job.attempt, ["running"], "committing")
    assert not ledger.move(job.id, job.attempt, ["running"], "failed")
    assert ledger.move(job.id, job.attempt, ["running", "committing"], "done", "Kept.")
    ended = ledger.get(job.id)
    assert (ended.state, ended.reason, ended.position) == ("done", "Kept.", 0)
    assert ended.created <= ended.started <= ended.ended


def test_an_interrupted_job_returns_to_its_place_and_counts_its_attempts(ledger):
    first, second = ledger.add(TASK), ledger.add(TASK)
    job = ledger.claim("worker")
    ledger.progress(job.id, 1, Progress("denoising", 1, 2))
    assert ledger.requeue(job.id, 1, "The worker ended.")
    again = ledger.get(first.id)
    assert (again.state, again.position, again.phase, again.attempt) == ("queued", 1, "queued", 1)
    assert ledger.claim("worker").attempt == 2
    assert ledger.requeue(first.id, 2, "The studio was closed.", counts=False)
    assert (ledger.claim("worker").attempt, ledger.get(second.id).position) == (2, 1)
    ledger.request_cancel(first.id)
    ledger.requeue(first.id, 2, "")
    assert ledger.get(first.id).state == "cancelled"


def test_progress_tells_when_a_phase_began_and_late_news_is_ignored(ledger):
    ledger.add(TASK)
    job = ledger.claim("worker")
    assert ledger.progress(job.id, 1, Progress("denoising", 1, 9), preview=1)
    began = ledger.get(job.id).phase_started
    ledger.progress(job.id, 1, Progress("denoising", 2, 9), preview=2)
    now = ledger.get(job.id)
    assert (now.phase, now.done, now.total, now.preview, now.phase_started) == ("denoising", 2, 9, 2, began)
    assert not ledger.progress(job.id, 2, Progress("denoising", 3, 9))
    ledger.move(job.id, 1, ["running"], "failed", "No.", "InvalidFrames")
    assert not ledger.progress(job.id, 1, Progress("denoising", 3, 9))


def test_trying_again_makes_a_new_job_of_the_same_request_and_keeps_the_old(ledger):
    old = ledger.add(AGAIN, owner="ada")
    with pytest.raises(BadRequest, match="this one is queued"):
        ledger.retry(old.id)
    ledger.request_cancel(old.id)
    new = ledger.retry(old.id)
    assert new.id != old.id
    assert (new.task, new.owner, new.kind, new.attempt) == (old.task, old.owner, old.kind, 0)
    assert ledger.get(old.id).state == "cancelled"


def test_a_ledger_of_a_newer_studio_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "jobs.sqlite"
    newer = sqlite3.connect(path)
    newer.execute(f"PRAGMA user_version={SCHEMA + 1}")
    newer.close()
    before = path.read_bytes()
    with pytest.raises(ReadOnly, match="newer studio"):
        Ledger(path)
    assert path.read_bytes() == before


def test_a_job_of_the_schema_before_remembers_nothing_of_its_parent_and_a_new_one_keeps_all(tmp_path):
    path = tmp_path / "jobs.sqlite"
    story = Origin("remix", "2026-11-22T08:13:01+00:00", RECIPE, ("20260101-000000-abcdef",))
    ledger = Ledger(path)
    waiting = ledger.add(Generate(RECIPE, AGAIN.parent, Origin("remix")))
    ledger.close()
    make_older(path, 4)
    ledger = Ledger(path)
    assert ledger.get(waiting.id) == waiting and waiting.task.origin == Origin("remix")
    job = ledger.add(Generate(RECIPE, AGAIN.parent, story))
    assert ledger.get(job.id).task.origin == story == ledger.retry(ledger.request_cancel(job.id).id).task.origin
    ledger.close()


def test_a_ledger_of_the_schema_before_is_taken_over_whole_and_a_copy_of_it_stays(tmp_path):
    path, copy = tmp_path / "jobs.sqlite", tmp_path / "jobs.schema-5.sqlite"
    ledger = Ledger(path)
    tried = Audition(RECIPE, (5, 6, 7), 2, ("a" * 64, "", "b" * 64))
    jobs = [ledger.add(task, owner="ada") for task in (TASK, AGAIN, tried)]
    bulk = ledger.bulk_queue.add("delete", ["20261122-081301-a1b2c3"], {})
    command = ledger.command("reindex", {})
    ledger.close()
    make_older(path, 5)
    before = path.read_bytes()
    for _ in range(2):
        ledger = Ledger(path)
        assert [ledger.get(job.id) for job in jobs] == jobs and ledger.notice == ""
        assert ledger.bulk_queue.unfinished() == (bulk,)
        ledger.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == [copy.name, path.name]
    older = sqlite3.connect(copy)
    assert older.execute("PRAGMA user_version").fetchone() == (5,)
    assert older.execute("SELECT request, kind FROM jobs ORDER BY seq").fetchall() == [
        (json.dumps(RECIPE.document()), kind) for kind in ("generate", "regenerate", "audition")]
    older.close()
    path.write_bytes(before)  # whatever befell the file, the copy is not lost
    ledger = Ledger(path)
    assert (ledger.next_command().id, len(ledger.list())) == (command, 3)
    ledger.close()


def test_a_job_that_an_older_schema_left_unreadable_is_left_out_and_stands_in_the_copy(tmp_path, caplog):
    path = tmp_path / "jobs.sqlite"
    ledger = Ledger(path)
    broken, whole = ledger.add(TASK), ledger.add(AGAIN)
    ledger.close()
    make_older(path, 5)
    older = sqlite3.connect(path)
    older.execute("UPDATE jobs SET request = 'half of a req' WHERE id = ?", (broken.id,))
    older.commit()
    older.close()
    ledger = Ledger(path)
    assert ledger.list() == (replace(whole, position=1),)
    assert broken.id in caplog.text
    ledger.close()
    kept = sqlite3.connect(tmp_path / "jobs.schema-5.sqlite")
    assert kept.execute("SELECT count(*) FROM jobs").fetchone() == (2,)
    kept.close()


def _overwrite(path, offset, junk):
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(junk)


@pytest.mark.parametrize("damage", ["no database at all", "a page overwritten", "cut in half"])
def test_a_damaged_ledger_is_set_aside_and_what_can_be_read_of_it_is_saved(tmp_path, damage):
    path = tmp_path / "jobs.sqlite"
    ledger = Ledger(path)
    ids = [ledger.add(TASK).id for _ in range(100)]
    ledger.close()
    size = path.stat().st_size
    if damage == "no database at all":
        path.write_bytes(b"This was a database. " * 400)
    elif damage == "cut in half":
        path.write_bytes(path.read_bytes()[:size // 2])
    else:
        _overwrite(path, size // 4096 // 2 * 4096, b"\xff" * 4096)
    ledger = Ledger(path)
    saved = ledger.list(limit=200, oldest_first=True)
    assert "set aside as jobs.corrupt-" in ledger.notice
    assert f"{len(saved)} waiting job" in ledger.notice
    assert [job.id for job in saved] == [job_id for job_id in ids if job_id in {job.id for job in saved}]
    assert len(saved) >= (20 if damage == "a page overwritten" else 0)
    assert len(list(tmp_path.glob("jobs.corrupt-*.sqlite"))) == 1
    assert ledger.add(TASK).state == "queued"
    ledger.close()
    reopened = Ledger(path)
    assert reopened.notice == ""
    reopened.close()


def test_an_accepted_job_survives_kill_9_of_the_process_that_accepted_it(tmp_path):
    path = tmp_path / "jobs.sqlite"
    code = ("import os, sys, pathlib, signal; from core.jobs.queue.ledger import Ledger\n"
            "sys.path.insert(0, 'tests'); from drawn import TASK\n"
            "ledger = Ledger(pathlib.Path(sys.argv[1]))\n"
            "for _ in range(7): print(ledger.add(TASK).id, flush=True)\n"
            "os.kill(os.getpid(), signal.SIGKILL)")
    child = python(code, str(path))
    told = child.communicate()[0].split()
    assert child.returncode == -9
    ledger = Ledger(path)
    assert [job.id for job in ledger.list(oldest_first=True)] == told
    assert len(told) == 7
    assert ledger.notice == ""
    ledger.close()


def test_a_full_disk_refuses_with_a_sentence_and_nothing_is_half_accepted(ledger):
    pages = ledger._database.read("PRAGMA page_count")[0]["page_count"]
    ledger._database.change(f"PRAGMA max_page_count={pages}")
    accepted = 0
    with pytest.raises(DiskFull, match="the disk is full or failing"):
        for _ in range(200):
            ledger.add(TASK)
            accepted += 1
    assert len(ledger.list(limit=500)) == accepted


def test_a_folder_that_is_not_there_is_said_in_words(tmp_path):
    with pytest.raises(StudioError, match="cannot be opened"):
        Ledger(tmp_path / "nowhere" / "jobs.sqlite")


def test_a_command_is_claimed_once_and_its_answer_or_its_error_comes_back(ledger):
    first, second = ledger.command("delete", {"id": "x"}), ledger.command("reindex", {})
    assert ledger.command_result(first) is None
    taken = ledger.next_command()
    assert (taken.id, taken.kind, taken.args, taken.attempt) == (first, "delete", {"id": "x"}, 1)
    ledger.finish_command(first, error=NotFound("There is no video x."))
    with pytest.raises(NotFound, match=r"^There is no video x\.$"):
        ledger.command_result(first)
    assert ledger.next_command().id == second
    assert ledger.next_command() is None
    ledger.requeue_commands()  # as after a crash of the process that ran it
    assert ledger.next_command().attempt == 2
    ledger.finish_command(second, error=BadRequest("request", "is odd."))
    with pytest.raises(BadRequest, match=r"^request: is odd\.$"):
        ledger.command_result(second)
    third = ledger.command("reindex", {})
    ledger.next_command()
    ledger.finish_command(third, {"videos": 3})
    assert ledger.command_result(third) == {"videos": 3}
