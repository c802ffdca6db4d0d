"""A job on the screen: its progress with Pause and Cancel, or its result."""

import streamlit as st

from core.domain.recipe import Recipe
from core.errors import OutOfMemory, StudioError
from core.jobs.kinds.registry import KINDS
from core.jobs.queue.job import CANCELLED, DONE, FAILED, INTERRUPTED, PAUSED, QUEUED, RUNNING, Job
from core.planning.estimate import in_words, what_changes
from pages.parts.compared import compare_from, is_here
from pages.parts.formatting import (
    age,
    can_pause,
    elapsed,
    fitting_width,
    fraction,
    made_of,
    model_title,
    phase,
    plain,
    remaining,
    seconds,
    shorten,
)
from pages.parts.shell import GALLERY, GENERATE, current_studio, only_looking
from pages.parts.toasts import tell_failure


def job_card(job: Job, tallest: int = 0, beside: bool = False) -> None:
    """Draw an unfinished job.

    Args:
        tallest: height of its moving preview in pixels; 0: without one.
        beside: the preview is left of the text instead of above it.
    """
    with st.container(border=True, key=f"job_{job.id}"):
        if tallest and beside:
            left, right = st.columns([1, 2], gap="medium", vertical_alignment="center")
            with left:
                _preview(job, tallest)
            with right:
                _progress(job)
            return
        if tallest:
            _preview(job, tallest)
        _progress(job)


def _progress(job: Job) -> None:
    """Draw the progress of the job as text and as a bar."""
    if job.state == QUEUED:
        _head(job, phase(job))
        return
    text = [phase(job)]
    if job.started and job.state != PAUSED:
        text.append(seconds(elapsed(job)))
    left = remaining(job)
    if left is not None and left >= 1:
        text.append(f"about {seconds(left)} left")
    st.progress(fraction(job), text=" · ".join(text))
    _head(job, "")


def ended_card(job: Job) -> None:
    """Draw an ended job: its video, or the reason of its end and the one button that repairs it."""
    with st.container(border=True, key=f"job_{job.id}"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            if job.state == DONE:
                with st.container(width="content", key=f"thumb_{job.id}"):
                    picture = KINDS[job.kind].words.picture(job.task, job.id)
                    st.image(f"/app/static/{picture}.webp", width=56, alt="")
            with st.container(gap=None, width="stretch"):
                st.text(shorten(job.task.title, 160))
                st.caption(_ended_line(job))
            if job.state == DONE:
                _open_buttons(job)
            else:
                _mend(job)
        if job.state == DONE and job.reason:
            st.caption(f":material/info: {plain(job.reason)}")
        elif job.state != CANCELLED and job.reason:
            show = st.warning if job.state == INTERRUPTED else st.error
            show(plain(job.reason), icon=":material/error:")


def _open_buttons(job: Job) -> None:
    """Draw the buttons that open the result, and its comparison with its parent."""
    name, made = KINDS[job.kind].words.opens(job.task, job.id)
    parent = job.task.parent
    with st.container(horizontal=True, width="content", gap="xsmall"):
        if name == "video" and parent is not None and parent != made and is_here(parent):
            compare_from(parent, made, f"compare_job_{job.id}")
        if st.button("Open", icon=":material/play_arrow:", key=f"open_job_{job.id}"):
            st.switch_page({"video": GALLERY, "job": GENERATE}[name], query_params={name: made})


def _mend(job: Job) -> None:
    """Draw the one button that repairs the failure: a size that fits if memory was short, else Retry."""
    recipe = job.task.recipe if job.error == OutOfMemory.__name__ else None
    smaller = current_studio().planner.smaller(recipe) if recipe is not None else None
    if recipe is not None and smaller is not None:
        st.button(f"Use {in_words(what_changes(recipe, smaller))}", icon=":material/content_cut:",
                  key=f"retry_{job.id}", on_click=_submit, args=(job, smaller), type="primary",
                  disabled=only_looking())
    else:
        st.button("Retry", icon=":material/refresh:", key=f"retry_{job.id}", on_click=_retry, args=(job.id,),
                  type="secondary" if job.state == CANCELLED else "primary", disabled=only_looking())


def _preview(job: Job, tallest: int) -> None:
    """Draw all frames as they look now, in the size of the finished video."""
    width, height = KINDS[job.kind].words.canvas(job.task)
    begun = "".join(filter(str.isdigit, job.started or ""))  # the preview number starts again with each start of a job
    if job.preview:
        with st.container(horizontal=True, horizontal_alignment="center"):
            st.image(f"/app/static/preview/{job.id}.webp?v={begun}-{job.preview}",
                     width=fitting_width(width, height, tallest),
                     alt="How the video looks now")
    else:
        st.skeleton(height=min(tallest, 300))


def _head(job: Job, line: str) -> None:
    """Draw the prompt, one line about the job, Pause or Resume, and Cancel."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        with st.container(gap=None, width="stretch", key=f"said_job_{job.id}"):
            st.text(shorten(job.task.title, 160))
            st.caption(" · ".join(filter(None, (line, _label(job), *_size(job), plain(made_of(job))))))
        if job.state == PAUSED:
            st.button("Resume", icon=":material/play_arrow:", key=f"resume_{job.id}", on_click=_ask,
                      args=("resume", job.id), type="primary", disabled=only_looking())
        elif can_pause(job):
            st.button("Pause", icon=":material/pause:", key=f"pause_{job.id}", on_click=_ask,
                      args=("pause", job.id),
                      disabled=job.pause_requested or job.cancel_requested or only_looking())
        st.button("Cancel", icon=":material/close:", key=f"cancel_{job.id}", on_click=_ask,
                  args=("cancel", job.id),
                  disabled=job.cancel_requested or job.state not in (QUEUED, RUNNING, PAUSED) or only_looking())


_ENDED = {DONE: ":green[:material/check_circle:] Done", FAILED: ":red[:material/error:] Failed",
          CANCELLED: ":material/cancel: Cancelled", INTERRUPTED: ":orange[:material/power_off:] Interrupted"}


def _ended_line(job: Job) -> str:
    took = f" in {seconds(elapsed(job))}" if job.state == DONE and job.started else ""
    made = " · ".join(filter(None, (model_title(job.task.model), plain(made_of(job)))))
    return f"{_ENDED[job.state]}{took} · {age(job.ended or job.created)} · {made}"


def _label(job: Job) -> str:
    """The kind of work, with its icon if it has one; "" for an ordinary video."""
    words = KINDS[job.kind].words
    icon, label = words.icon(job.task), plain(words.label(job.task))
    return f":material/{icon}: {label}" if icon else label


def _size(job: Job) -> tuple[str, ...]:
    recipe = job.task.recipe
    return (f"{recipe.num_frames} frames", f"{recipe.width} × {recipe.height}") if recipe is not None else ()


def _ask(wish: str, job_id: str) -> None:
    studio = current_studio()
    try:
        {"resume": studio.resume, "pause": studio.pause, "cancel": studio.cancel}[wish](job_id)
    except StudioError as error:
        tell_failure(error, "info")


def _submit(job: Job, recipe: Recipe) -> None:
    try:
        current_studio().accept(job.kind, KINDS[job.kind].with_recipe(job.task, recipe))
    except StudioError as error:
        tell_failure(error)


def _retry(job_id: str) -> None:
    try:
        current_studio().retry(job_id)
    except StudioError as error:
        tell_failure(error)
