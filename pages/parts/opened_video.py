"""One opened video: large, with its recipe, its verdict, the expected differences here, and its story."""

import streamlit as st

from core.domain.video import Video
from core.errors import StudioError
from core.jobs.queue.job import ENDED, UNFINISHED, Job
from core.library.lookup import DAMAGED, NEWER, TRASHED
from core.library.search.query import Query
from pages.parts.bulk_progress import bring_back
from pages.parts.compare_with import compare_with
from pages.parts.compared import compare
from pages.parts.damaged_video import damaged_video
from pages.parts.formatting import age, cause, plain
from pages.parts.job_card import ended_card, job_card
from pages.parts.keys import opened_keys
from pages.parts.lineage_panel import story
from pages.parts.newer_video import newer_video
from pages.parts.opened_head import head, tags_field
from pages.parts.player import actions, show_verdict, show_video
from pages.parts.polling import ids, poll_while
from pages.parts.recipe_table import recipe
from pages.parts.shell import current_studio, only_looking
from pages.parts.shown_errors import show_error
from pages.parts.video_card import NO_RECIPE, open_video

TALLEST = 600  # pixels of the screen


def opened_video(video_id: str, query: Query) -> None:
    """Draw the video of that id, or show why it cannot be opened. `query`: the search from which it was opened."""
    found = current_studio().look_up(video_id)
    if found.state == DAMAGED:
        head(video_id, query, None)
        damaged_video(found)
    elif found.state == NEWER:
        head(video_id, query, None, fixed=True)
        newer_video(found)
    elif found.error is not None:
        show_error(found.error)
        if found.state == TRASHED:
            st.button("Restore it", icon=":material/restore_from_trash:", key="restore_here", on_click=bring_back,
                      args=((video_id,),), disabled=only_looking())
    elif found.video is not None:
        head(video_id, query, found.video)
        _body(found.video)


def _body(video: Video) -> None:
    """Draw everything of a video except its head."""
    family = current_studio().lineage(video)
    again = video.recipe is not None and not only_looking()
    with st.container(key="opened"):
        picture, facts = st.columns([6, 5], gap="large")
    with picture:
        with st.container(key="film"):
            show_video(video, TALLEST)
        opened_keys(again=again, changed=not only_looking())
        actions(video, "opened")
        compare_with(video, family)
        if again:
            _foreseen(video)
            _regenerations(video)
        story(video, family)
    with facts:
        with st.container(key="said"):
            if video.verdict is not None:
                show_verdict(video.verdict, video.result.num_frames)
                if family.parent is not None and family.parent.video is not None:
                    st.button("Compare with its parent", icon=":material/compare:", key="compare_parent",
                              on_click=compare, args=(video.parent, video.id))
            st.code(video.title, language=None, wrap_lines=True)
        tags_field(video)
        if video.recipe is None:
            st.info(NO_RECIPE, icon=":material/info:")
        recipe(video)


def _regenerations(video: Video) -> None:
    """Draw the jobs that make this video again: their progress while they run, their verdict when they are done.

    If the last one ends while this page is open, the page shows both videos side by side.
    """
    def running() -> list[Job]:
        return _made_from(current_studio().jobs(UNFINISHED), video)

    def draw(jobs: list[Job]) -> None:
        for job in jobs:
            job_card(job)
        ended = _made_from(current_studio().jobs(ENDED, limit=50), video)[:1]
        if ended and not jobs:
            _outcome(ended[0])

    def on_change(before: list[Job], jobs: list[Job]) -> None:
        if not jobs and _regenerated(before[0]):
            compare(video.id, before[0].id)

    poll_while(running, draw, ids, on_change=on_change)


def _made_from(jobs: tuple[Job, ...], video: Video) -> list[Job]:
    return [job for job in jobs if job.task.parent == video.id]


def _regenerated(job: Job) -> bool:
    """Whether that job has made its video, with a verdict on how it compares with its parent."""
    try:
        return current_studio().video(job.id).verdict is not None
    except StudioError:
        return False


def _outcome(job: Job) -> None:
    """Draw the result of the last regeneration."""
    try:
        child = current_studio().video(job.id)
    except StudioError:
        if not job.ended_well:
            ended_card(job)
        return
    if child.verdict is None and not job.reason:
        return
    with st.container(border=True):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.caption(f"Regenerated {age(child.created)}", width="content")
            with st.container(horizontal=True, width="content"):
                st.button("Compare", icon=":material/compare:", key="compare_child", on_click=_compare,
                          args=(job.task.parent, child.id))
                st.button("Open it", icon=":material/play_arrow:", key="open_child", on_click=_open,
                          args=(child.id,))
        if child.verdict is not None:
            show_verdict(child.verdict, child.result.num_frames)
        if job.reason:
            st.caption(f":material/info: {plain(job.reason)}")


def _foreseen(video: Video) -> None:
    """Draw the expected differences, before anything runs."""
    forecast = current_studio().planner.foresee(video)
    if forecast.causes:
        listed = "\n".join(f"- {plain(cause(each))}" for each in forecast.causes)
        st.info(f"Regenerating here can look different:\n{listed}", icon=":material/compare_arrows:")
    elif not forecast.known:
        st.caption(":material/help: It is not known yet whether this machine makes the same pixels. It is known "
                   "after the model is loaded.")
    else:
        st.caption(":material/check: This machine matches the one that made it: expect the same pixels.")


def _open(video_id: str) -> None:
    open_video(video_id)
    st.rerun()


def _compare(a: str, b: str) -> None:
    compare(a, b)
    st.rerun()
