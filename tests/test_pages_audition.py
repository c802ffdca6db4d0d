"""A seed audition on the screens: asked for, watched, chosen from."""

from dataclasses import replace

import numpy as np
import pytest
import samples
from screens import HOSTILE, at_button, page, press, run, said

from core.domain.progress import Progress
from core.domain.request import VideoRequest
from core.jobs.kinds.audition import Audition
from core.jobs.queue.job import Job
from core.library.media.contact_sheet import contact_sheet, tile
from core.library.storage.contact_sheets import ContactSheets
from pages.parts import formatting as words

SHEET = contact_sheet([tile(np.full((2, 8, 8, 3), shade, np.uint8)) for shade in (0, 90, 180, 250)], 8)
BUTTONS = ["1 · Finish seed 7", "2 · Finish seed 8", "3 · Finish seed 9", "4 · Finish seed 10"]


def tried(studio, prompt: str = "a red ball", sheet: bool = True) -> Job:
    """An audition that ended as the dispatcher ends it."""
    job = studio.audition(VideoRequest(prompt, seed=7), 4)
    claimed = studio.ledger.claim("test")
    studio.ledger.move(job.id, claimed.attempt, ("running",), "committing")
    if sheet:
        ContactSheets(studio.settings.data_dir).keep(job.id, SHEET)
    studio.ledger.note(claimed, replace(job.task, noise_sha256=("a", "b", "c", "d")))
    studio.ledger.move(job.id, claimed.attempt, ("committing",), "done")
    return studio.job(job.id)


def offered(at) -> list[str]:
    return [button.label for button in at.button if "Finish seed" in button.label]


def test_one_click_tries_six_seeds_of_what_the_form_says(studio):
    at = page()
    at.text_area(key="f_prompt").set_value("a blue cat")
    at.text_input(key="f_seed").set_value("41")
    press(at, "audition")
    job, = studio.jobs()
    assert (job.kind, job.task.title, job.task.recipe.num_inference_steps) == ("audition", "a blue cat", 20)
    assert job.task == Audition(job.task.recipe, (41, 42, 43, 44, 45, 46), 7)


def test_number_and_steps_of_the_tries_are_chosen_among_the_other_settings(studio):
    at = page()
    at.button_group(key="f_audition_seeds").set_value(9)
    at.number_input(key="f_audition_steps").set_value(5)
    at.run()
    assert "Try 9 seeds" in said(at)
    press(at, "audition")
    job, = studio.jobs()
    assert len(job.task.seeds) == 9 and job.task.num_inference_steps == 5


def test_more_steps_for_a_try_than_for_the_video_are_refused_with_the_fields_name(studio):
    at = page()
    at.number_input(key="f_audition_steps").set_value(21)
    at.run()
    press(at, "audition")
    assert "Steps of a try: 21 is not a number of steps to try with" in said(at).replace("\\", "")
    assert studio.jobs() == ()


@pytest.mark.parametrize("name", ["", "queue"])
def test_a_running_audition_says_which_seed_and_step_it_is_at(studio, name):
    job = run(studio, studio.audition(VideoRequest("a red ball", seed=7), 6), Progress("denoising", 18, 42))
    at = page(name)
    assert at.get("progress")[0].text.startswith("Seed 3 of 6, step 4 of 7")
    assert "6 seeds at 7 steps" in said(at) and not at.button(key=f"pause_{job.id}").disabled
    press(at, f"cancel_{job.id}")
    assert studio.job(job.id).cancel_requested


@pytest.mark.parametrize(("done", "text"), [
    (0, "Seed 1 of 6, step 0 of 7"), (7, "Seed 1 of 6, step 7 of 7"), (8, "Seed 2 of 6, step 1 of 7"),
    (42, "Seed 6 of 6, step 7 of 7")])
def test_every_step_of_an_audition_has_its_seed(done, text):
    job = replace(Job.new(Audition(samples.video("a").recipe, tuple(range(6)), 7)),
                  state="running", phase="denoising", done=done, total=42)
    assert words.phase(job) == text
    assert words.phase(replace(job, state="paused")) == f"Paused at {text.lower()}"


def test_a_seed_of_the_sheet_is_finished_with_all_its_steps_while_the_sheet_stays(studio):
    job = tried(studio)
    at = page()
    assert offered(at) == BUTTONS and "4 seeds at 7 of 20 steps" in said(at)
    press(at, f"finish_{job.id}_3")
    made, = studio.jobs(("queued",))
    assert (made.kind, made.task.recipe) == ("generate", replace(job.task.recipe, seed=9))
    assert offered(page()) == BUTTONS
    studio.cancel(made.id)
    assert offered(page()) == BUTTONS


def test_other_seeds_are_tried_after_those_of_the_sheet(studio):
    job = tried(studio)
    press(page(), f"others_{job.id}")
    again, = studio.jobs(("queued",))
    assert again.task == Audition(replace(job.task.recipe, seed=11), (11, 12, 13, 14), 7)


def test_an_ended_audition_is_opened_from_the_queue(studio):
    job = tried(studio)
    studio.cancel(studio.submit(VideoRequest("something later")).id)
    assert "4 seeds at 7 steps" in said(page("queue"))
    assert at_button(page("queue"), f"open_job_{job.id}")
    assert offered(page("", job=job.id)) == BUTTONS


def test_a_sheet_that_was_cleared_is_said_to_be_gone_and_its_seeds_can_still_be_finished(studio):
    job = tried(studio, sheet=False)
    at = page()
    assert "only the newest 20 are kept" in said(at) and "can still be finished" in said(at)
    press(at, f"finish_{job.id}_1")
    assert [made.task.recipe.seed for made in studio.jobs(("queued",))] == [7]


def test_what_a_person_wrote_is_shown_as_text_under_the_sheet(studio):
    tried(studio, HOSTILE)
    at = page()
    assert HOSTILE in [element.value for element in at.text]
    assert not any("evil.example" in str(element.value) for element in at.markdown)


def test_an_audition_is_deleted_from_its_card_after_being_asked_once(studio):
    job = tried(studio)
    at = page()
    at.query_params["job"] = job.id
    at.run()
    assert offered(at) == BUTTONS and "Videos finished from it stay" in said(at)
    press(at, f"forget_{job.id}")
    assert studio.jobs() == () and not offered(at)
    assert not list((studio.settings.data_dir / "auditions").iterdir())
    assert "job" not in at.query_params
