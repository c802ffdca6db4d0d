"""The large side of the Generate page: the running jobs, then the last result; never empty."""

from dataclasses import replace

import streamlit as st

from core.domain.recipe import Recipe
from core.domain.video import Video, is_id
from core.errors import DamagedVideo, NotFound, ReadOnly
from core.jobs.kinds.audition import Audition
from core.jobs.kinds.registry import KINDS
from core.jobs.queue.job import ACTIVE, DONE, ENDED, PAUSED, QUEUED, UNFINISHED, Job
from pages.parts.audition_card import audition_card
from pages.parts.compared import compare_from, is_here
from pages.parts.formatting import age, model_title, plain, seconds
from pages.parts.job_card import ended_card, job_card
from pages.parts.player import TALLEST, actions, play, show_verdict, show_video
from pages.parts.polling import ids, poll_while
from pages.parts.shell import current_studio

SHOWN_FAILURES, SHOWN_JOBS = 3, 6


def stage() -> None:
    """Draw the panel, and redraw it while a job runs."""
    asked = st.query_params.get("job", "")
    poll_while(_unfinished, lambda jobs: _draw(jobs, asked), ids)


def _draw(jobs: list[Job], asked: str) -> None:
    for job in jobs[:SHOWN_JOBS]:
        first = job == jobs[0] and (job.state == QUEUED or job.preview > 0)
        job_card(job, TALLEST if job.state in ACTIVE or first else 0)
    if len(jobs) > SHOWN_JOBS:
        st.caption(f"and {len(jobs) - SHOWN_JOBS} more in the queue")
    shown = _show_ended(asked, jobs)
    if not shown and not jobs:
        _show_example()
    of = shown if shown is not None else jobs[0] if jobs else None
    recipe = of.task.recipe if of is not None else None
    audition = _audition_of(recipe) if recipe is not None else None
    if audition is not None and (shown is None or shown.id != audition.id):
        audition_card(audition)


def _unfinished() -> list[Job]:
    """The jobs that run or wait, in the order in which they will end, then the paused ones."""
    jobs = current_studio().jobs(UNFINISHED, limit=500)
    return sorted(jobs, key=lambda job: (job.state == PAUSED, job.state == QUEUED, job.position))


def _audition_of(recipe: Recipe) -> Job | None:
    """The audition from which that recipe was chosen, so that its other seeds stay available."""
    for job in current_studio().jobs((DONE,), limit=20):
        task = job.task
        if isinstance(task, Audition) and recipe.seed in task.seeds \
                and recipe == replace(task.recipe, seed=recipe.seed):
            return job
    return None


def _show_ended(asked: str, unfinished: list[Job]) -> Job | None:
    """Draw the job of the address; else the last failures, then one result. Returns the last job drawn."""
    studio = current_studio()
    if is_id(asked):
        jobs = [studio.job(asked)]
    else:
        jobs = list(studio.jobs(ENDED, limit=20))
        if unfinished:
            first = min(job.created for job in unfinished)
            jobs = [job for job in jobs if (job.ended or "") >= first]
    failures: list[Job] = []
    for job in jobs:
        if job.state == DONE:
            if _show_done(job):
                return job
        elif job.state in ENDED and len(failures) < SHOWN_FAILURES:
            ended_card(job)
            failures.append(job)
    return failures[-1] if failures else None


def _show_done(job: Job) -> bool:
    """Draw the result of a job. Returns whether the result is still here."""
    if isinstance(job.task, Audition):
        audition_card(job)
        return True
    _, made = KINDS[job.kind].words.opens(job.task, job.id)
    try:
        video = current_studio().video(made)
    except (NotFound, DamagedVideo, ReadOnly):
        return False
    _show_result(video, job.reason)
    return True


def _show_result(video: Video, remark: str) -> None:
    with st.container(border=True):
        show_video(video)
        if video.verdict is not None:
            show_verdict(video.verdict, video.result.num_frames)
        if video.parent is not None and is_here(video.parent):
            compare_from(video.parent, video.id, "compare_stage")
        with st.container(gap=None):
            st.text(video.title)
            recipe = video.recipe
            made = (model_title(recipe.model), f"seed {recipe.seed}") if recipe else ()
            took = (f"made in {seconds(video.runtime.total_s)}",) if recipe else ()
            st.caption(" · ".join([*made, f"{video.result.num_frames} frames", *took, age(video.created)]))
            if remark:
                st.caption(f":material/info: {plain(remark)}")
        actions(video, "stage")


def _show_example() -> None:
    studio = current_studio()
    examples = studio.examples()
    with st.container(border=True):
        if not examples:
            with st.container(height=360, border=False, horizontal_alignment="center",
                              vertical_alignment="center"):
                st.markdown("## :material/movie:", width="content")
                st.text("Your video appears here.", width="content")
                st.caption("Press Generate: the form is filled with a prompt that works.", width="content")
            return
        offered = studio.planner.prompt_examples(studio.default_model())  # the best comes first
        ranks = {prompt: rank for rank, prompt in enumerate(offered)}
        video = min(examples, key=lambda example: ranks.get(example.title, len(ranks)))
        play(video, f"/app/static/example/{video.id}.mp4", TALLEST)
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            with st.container(gap=None, width="stretch"):
                st.caption(f"An example, made by {model_title(video.known_recipe().model)}")
                st.text(video.title)
            st.button("Use this prompt", icon=":material/arrow_back:", key="use_example", on_click=_use,
                      args=(video.title,))


def _use(prompt: str) -> None:
    st.session_state.f_prompt = prompt
    st.rerun()
