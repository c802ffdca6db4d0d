"""A part of a page that redraws itself at intervals, as long as it waits for something."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import streamlit as st

from core.jobs.queue.bulk_queue import BulkAction
from core.jobs.queue.job import Job
from pages.parts.shown_errors import shown_errors
from pages.parts.toasts import say_in_passing

POLL_S = 0.5
T = TypeVar("T")


def ids(found: Iterable[Job | BulkAction]) -> frozenset[str | int]:
    """The ids of jobs or bulk actions."""
    return frozenset(each.id for each in found)


def poll_while(look: Callable[[], T], draw: Callable[[T], None], known_by: Callable[[T], object], *,
               also: bool = False, every: float = POLL_S,
               on_change: Callable[[T, T], None] = lambda before, found: None) -> None:
    """Draw a value, and look again while there is something to wait for. A change redraws the complete page.

    Args:
        look: returns the value; called again each time.
        known_by: the part of the value whose change redraws the page; while it is empty, nothing is awaited.
        also: look again in any case.
        every: seconds between two looks.
        on_change: called with the old and the new value, before the complete page is drawn again.
    """
    before = look()
    known = known_by(before)

    @st.fragment(run_every=every if known or also else None)
    def live() -> None:
        with shown_errors():
            found = look()
            if known_by(found) != known:
                on_change(before, found)
                st.rerun()
            say_in_passing()
            draw(found)

    live()
