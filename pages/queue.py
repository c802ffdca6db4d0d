"""Queue: what runs, what waits, what is paused, what ended and why."""

import streamlit as st

from core.jobs.queue.job import ACTIVE, ENDED, PAUSED, QUEUED, UNFINISHED
from core.studio import Studio
from pages.parts.job_card import ended_card, job_card
from pages.parts.shell import GENERATE, POLL_S, current_studio, guard, shown_errors, top_row
from pages.parts.toasts import say_in_passing

guard()

SHOWN, MOST = 30, 500


def queue(studio: Studio) -> None:
    """Draw the lists, and keep them moving while something runs or waits."""
    known = {job.id for job in studio.jobs(UNFINISHED, limit=MOST)}

    @st.fragment(run_every=POLL_S if known else None)
    def live() -> None:
        with shown_errors():
            jobs = sorted(studio.jobs(UNFINISHED, limit=MOST), key=lambda job: (job.state == QUEUED, job.position))
            if {job.id for job in jobs} != known:
                st.rerun()
            say_in_passing()
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
                    st.page_link(GENERATE, label="Generate a video", icon=":material/auto_awesome:",
                                 width="content")
            ended = studio.jobs(ENDED, limit=SHOWN)
            if ended:
                st.markdown("**Ended**")
                for job in ended:
                    ended_card(job)

    live()


with shown_errors():
    top_row("Queue")
    queue(current_studio())
