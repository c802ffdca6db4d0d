"""Queue: the running, waiting, paused and ended jobs."""

import streamlit as st

from core.jobs.queue.job import ACTIVE, ENDED, PAUSED, QUEUED, UNFINISHED, Job
from pages.parts.job_card import ended_card, job_card
from pages.parts.polling import ids, poll_while
from pages.parts.shell import GENERATE, current_studio, guard, top_row
from pages.parts.shown_errors import shown_errors

guard()

SHOWN, MOST = 30, 500


def unfinished() -> list[Job]:
    """The jobs that run, wait or are paused, in the order in which they will run."""
    jobs = current_studio().jobs(UNFINISHED, limit=MOST)
    return sorted(jobs, key=lambda job: (job.state == QUEUED, job.position))


def queue(jobs: list[Job]) -> None:
    """Draw the lists."""
    running = [job for job in jobs if job.state in ACTIVE]
    waiting = [job for job in jobs if job.state == QUEUED]
    paused = [job for job in jobs if job.state == PAUSED]
    if running:
        st.markdown("**Running**")
        for job in running:
            job_card(job, tallest=240, beside=True)
    if waiting:
        st.markdown(f"**Waiting** ({len(waiting)})")
        for job in waiting[:SHOWN]:
            job_card(job)
        if len(waiting) > SHOWN:
            st.caption(f"and {len(waiting) - SHOWN} more")
    if paused:
        st.markdown(f"**Paused** ({len(paused)})")
        for job in paused[:SHOWN]:
            job_card(job)
    if not jobs:
        with st.container(border=True, horizontal_alignment="center"):
            st.text("Nothing is waiting.", width="content")
            st.page_link(GENERATE, label="Generate a video", icon=":material/auto_awesome:", width="content")
    ended = current_studio().jobs(ENDED, limit=SHOWN)
    if ended:
        st.markdown("**Ended**")
        for job in ended:
            ended_card(job)


with shown_errors():
    top_row("Queue")
    poll_while(unfinished, queue, ids)
