"""A job on the screen: what it is doing, how far it is, how to stop it, or what became of it."""

import streamlit as st

from core.errors import StudioError
from core.jobs.job import CANCELLED, DONE, FAILED, INTERRUPTED, QUEUED, RUNNING, Job
from pages.parts.shell import GALLERY, studio
from pages.parts.words import age, elapsed, fraction, phase, plain, remaining, seconds, shorten

_KINDS = {"regenerate": ":material/replay: Regenerating", "remix": ":material/edit: Remix", "generate": ""}


def job_card(job: Job, large: bool = False) -> None:
    """Draw an unfinished job. `large`: with its moving preview over the whole width."""
    with st.container(border=True, key=f"job_{job.id}"):
        if large:
            _preview(job)
        if job.state == QUEUED:
            _head(job, phase(job))
            return
        text = [phase(job)]
        if job.started:
            text.append(seconds(elapsed(job)))
        left = remaining(job)
        if left is not None:
            text.append(f"about {seconds(left)} left")
        st.progress(fraction(job), text=" · ".join(text))
        _head(job, "")


def ended_card(job: Job) -> None:
    """Draw a job that ended: its video, or what happened and the one button that mends it."""
    with st.container(border=True, key=f"job_{job.id}"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            with st.container(gap=None, width="stretch"):
                st.text(shorten(job.request.prompt, 160))
                st.caption(_ended_line(job))
            if job.state == DONE:
                if st.button("Open", icon=":material/play_arrow:", key=f"open_job_{job.id}"):
                    st.switch_page(GALLERY, query_params={"video": job.id})
            else:
                st.button("Retry", icon=":material/refresh:", key=f"retry_{job.id}", on_click=_retry,
                          args=(job.id,), type="secondary" if job.state == CANCELLED else "primary")
        if job.state not in (DONE, CANCELLED) and job.reason:
            show = st.warning if job.state == INTERRUPTED else st.error
            show(plain(job.reason), icon=":material/error:")


def _preview(job: Job) -> None:
    if job.preview:
        st.image(f"/app/static/preview/{job.id}.webp?v={job.attempt}-{job.preview}", width="stretch",
                 alt="How the video looks now")
    else:
        st.skeleton(height=300)


def _head(job: Job, line: str) -> None:
    """The prompt, one line about the job, and Cancel."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        with st.container(gap=None, width="stretch"):
            st.text(shorten(job.request.prompt, 160))
            request = job.request
            st.caption(" · ".join(filter(None, (
                line, _KINDS[job.kind], f"{request.num_frames} frames", f"{request.width} × {request.height}",
                f"seed {request.seed}"))))
        st.button("Cancel", icon=":material/close:", key=f"cancel_{job.id}", on_click=_cancel, args=(job.id,),
                  disabled=job.cancel_requested or job.state not in (QUEUED, RUNNING))


_ENDED = {DONE: ":green[:material/check_circle:] Done", FAILED: ":red[:material/error:] Failed",
          CANCELLED: ":material/cancel: Cancelled", INTERRUPTED: ":orange[:material/power_off:] Interrupted"}


def _ended_line(job: Job) -> str:
    took = f" in {seconds(elapsed(job))}" if job.state == DONE and job.started else ""
    made = f"{plain(job.request.model or '')} · seed {job.request.seed}"
    return f"{_ENDED[job.state]}{took} · {age(job.ended)} · {made}"


def _cancel(job_id: str) -> None:
    try:
        studio().cancel(job_id)
    except StudioError as error:
        st.toast(plain(str(error)), icon=":material/info:")


def _retry(job_id: str) -> None:
    try:
        studio().retry(job_id)
    except StudioError as error:
        st.toast(plain(str(error)), icon=":material/error:")
