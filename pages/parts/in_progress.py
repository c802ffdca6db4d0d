"""The running jobs, above the results of the gallery."""

import streamlit as st

from core.jobs.queue.job import UNFINISHED, Job
from pages.parts.job_card import job_card
from pages.parts.polling import ids, poll_while
from pages.parts.shell import current_studio


def making() -> None:
    """Draw the running jobs; when one ends, the grid is drawn again."""
    poll_while(lambda: current_studio().jobs(UNFINISHED), _next, ids)


def _next(jobs: tuple[Job, ...]) -> None:
    for job in jobs[-1:]:
        job_card(job)
    if len(jobs) > 1:
        st.caption(f"and {len(jobs) - 1} more in the queue")
