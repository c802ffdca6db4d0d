"""What is being made, above the results of the gallery."""

import streamlit as st

from core.jobs.queue.job import UNFINISHED
from core.studio import Studio
from pages.parts.job_card import job_card
from pages.parts.shell import POLL_S
from pages.parts.toasts import say_in_passing


def making(studio: Studio) -> None:
    """What is being made now; the grid is drawn again when it is done."""
    known = [job.id for job in studio.jobs(UNFINISHED)]

    @st.fragment(run_every=POLL_S if known else None)
    def live() -> None:
        jobs = studio.jobs(UNFINISHED)
        if [job.id for job in jobs] != known:
            st.rerun()
        say_in_passing()
        for job in jobs[-1:]:
            job_card(job)
        if len(jobs) > 1:
            st.caption(f"and {len(jobs) - 1} more in the queue")

    live()
