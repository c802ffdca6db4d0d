"""Pause and Resume on the screens."""

import pytest
from screens import at_button, page, press, run, said

from core.domain.progress import Progress
from core.domain.request import VideoRequest
from core.jobs.queue.job import Job
from pages.parts import formatting as words


def paused_at(studio, done: int = 12, total: int = 25, preview: int = 3) -> Job:
    """A job paused as the dispatcher pauses it."""
    job = run(studio, studio.submit(VideoRequest("a red ball")), Progress("denoising", done, total))
    studio.pause(job.id)
    studio.ledger.requeue(job.id, job.attempt, "", counts=False, done=done, total=total, preview=preview)
    return studio.job(job.id)


@pytest.mark.parametrize("name", ["", "queue"])
def test_pause_asks_the_running_job_to_wait_and_says_so(studio, name):
    job = run(studio, studio.submit(VideoRequest("a red ball")), Progress("denoising", 5, 20))
    at = page(name)
    assert not at.button(key=f"pause_{job.id}").disabled
    press(at, f"pause_{job.id}")
    assert studio.job(job.id).pause_requested
    at = page(name)
    assert at.get("progress")[0].text.startswith("Pausing after this step")
    assert at.button(key=f"pause_{job.id}").disabled
    assert not at.button(key=f"cancel_{job.id}").disabled


@pytest.mark.parametrize("name", ["", "queue"])
def test_a_paused_job_says_where_it_stands_and_resume_puts_it_back(studio, name):
    job = paused_at(studio)
    at = page(name)
    assert at.get("progress")[0].text == "Paused at step 12 of 25"
    assert not at_button(at, f"pause_{job.id}")
    press(at, f"resume_{job.id}")
    assert studio.job(job.id).state == "queued"
    at = page(name)
    assert "Next in line, resumes after step 12 of 25" in said(at)
    assert not at_button(at, f"resume_{job.id}")


def test_a_paused_job_can_be_cancelled_and_tried_again(studio):
    job = paused_at(studio)
    press(page("queue"), f"cancel_{job.id}")
    assert studio.job(job.id).state == "cancelled"
    press(page("queue"), f"retry_{job.id}")
    assert [again.task for again in studio.jobs(("queued",))] == [job.task]


def test_the_queue_has_a_list_of_its_own_for_paused_jobs_and_counts_them(studio):
    paused_at(studio)
    run(studio, studio.submit(VideoRequest("is being made")), Progress("denoising", 5, 20))
    studio.submit(VideoRequest("will be made"))
    everything = said(page("queue"))
    for part in ("**Running**", "**Waiting** (1)", "**Paused** (1)"):
        assert part in everything
    assert "Nothing is waiting." not in everything


def test_on_the_stage_paused_jobs_stand_behind_waiting_ones(studio):
    held = paused_at(studio)
    waiting = studio.submit(VideoRequest("will be made"))
    keys = [button.key for button in page().button]
    assert keys.index(f"cancel_{waiting.id}") < keys.index(f"resume_{held.id}")


@pytest.mark.parametrize("progress", [Progress("decoding", 3, 16), Progress("encoding")])
def test_a_job_whose_frames_are_made_cannot_be_paused_any_more(studio, progress):
    job = run(studio, studio.submit(VideoRequest("a red ball")), progress)
    at = page()
    assert not at_button(at, f"pause_{job.id}")
    assert at_button(at, f"cancel_{job.id}")


def test_the_words_and_the_bar_of_a_paused_job(studio):
    assert words.phase(paused_at(studio)) == "Paused at step 12 of 25"
    held = paused_at(studio, 0, 0, 0)
    assert words.phase(held) == "Paused"
    assert words.fraction(held) == pytest.approx(0.04)
    assert words.fraction(paused_at(studio, 25, 25)) == pytest.approx(0.8)


def test_the_time_that_is_left_is_measured_from_where_the_job_went_on(studio):
    job = run(studio, studio.submit(VideoRequest("a red ball")), Progress("denoising", 12, 25),
              Progress("denoising", 13, 25))
    assert words.remaining(job) is None
    studio.ledger.progress(job.id, 1, Progress("denoising", 14, 25))
    assert words.remaining(studio.job(job.id)) is not None
