"""One video, opened: large, with its recipe, its verdict, what this machine would change, and its story."""

import streamlit as st

from core.domain.video import Video, is_id
from core.errors import DamagedVideo, NotFound, ReadOnly, StudioError
from core.jobs.queue.job import ENDED, UNFINISHED, Job
from core.library.search.query import Query
from core.studio import Studio
from pages.parts.bulk_progress import bring_back
from pages.parts.compare_with import compare_with
from pages.parts.compared import compare, is_here
from pages.parts.damaged_video import damaged_video
from pages.parts.formatting import age, cause, plain
from pages.parts.job_card import ended_card, job_card
from pages.parts.keys import opened_keys
from pages.parts.lineage_panel import story
from pages.parts.newer_video import newer_video
from pages.parts.opened_head import head, tags_field
from pages.parts.player import actions, show_verdict, show_video
from pages.parts.recipe_table import recipe
from pages.parts.shell import POLL_S, only_looking, show_error
from pages.parts.toasts import say_in_passing
from pages.parts.video_card import NO_RECIPE, open_video

TALLEST = 600  # pixels of the screen


def opened_video(studio: Studio, video_id: str, query: Query) -> None:
    """Draw the video of that id, or say why it cannot be shown. `query`: what was searched when it was opened."""
    try:
        video = studio.video(video_id)
    except NotFound as error:
        show_error(error)
        if is_id(video_id) and studio.library.trash.has(video_id):
            st.button("Restore it", icon=":material/restore_from_trash:", key="restore_here", on_click=bring_back,
                      args=((video_id,),), disabled=only_looking())
        return
    except DamagedVideo as error:
        head(studio, video_id, query, None)
        damaged_video(studio, video_id, error)
        return
    except ReadOnly as error:
        head(studio, video_id, query, None, fixed=True)
        newer_video(studio, video_id, error)
        return
    head(studio, video_id, query, video)
    with st.container(key="opened"):
        picture, facts = st.columns([6, 5], gap="large")
    with picture:
        with st.container(key="film"):
            show_video(video, TALLEST)
        opened_keys(again=video.recipe is not None and not only_looking(), changed=not only_looking())
        actions(video, "opened")
        compare_with(studio, video)
        if video.recipe and not only_looking():
            _foreseen(studio, video)
            _regenerations(studio, video)
        story(studio, video)
    with facts:
        with st.container(key="said"):
            if video.verdict is not None:
                show_verdict(video.verdict, video.result.num_frames)
                if is_here(studio, video.parent):
                    st.button("Compare with its parent", icon=":material/compare:", key="compare_parent",
                              on_click=compare, args=(video.parent, video.id))
            st.code(video.title, language=None, wrap_lines=True)
        tags_field(studio, video)
        if not video.recipe:
            st.info(NO_RECIPE, icon=":material/info:")
        recipe(video)


def _regenerations(studio: Studio, video: Video) -> None:
    """Jobs that make this video again: their progress while they run, their verdict when they are done.

    Who watched the last of them to its end is shown both videos side by side.
    """
    known = _made_from(studio.jobs(UNFINISHED), video)  # the newest first

    @st.fragment(run_every=POLL_S if known else None)
    def live() -> None:
        jobs = _made_from(studio.jobs(UNFINISHED), video)
        if {job.id for job in jobs} != {job.id for job in known}:
            if not jobs and _regenerated(studio, known[0]):
                _compare(video.id, known[0].id)
            st.rerun()
        say_in_passing()
        for job in jobs:
            job_card(job)
        ended = [job for job in studio.jobs(ENDED, limit=50) if job.task.parent == video.id][:1]
        if ended and not jobs:
            _outcome(studio, ended[0])

    live()


def _made_from(jobs: tuple[Job, ...], video: Video) -> list[Job]:
    return [job for job in jobs if job.task.parent == video.id]


def _regenerated(studio: Studio, job: Job) -> bool:
    """Whether that job has made its video, with a verdict on how it compares with its parent."""
    try:
        return studio.video(job.id).verdict is not None
    except StudioError:
        return False


def _outcome(studio: Studio, job: Job) -> None:
    """What became of the last regeneration."""
    try:
        child = studio.video(job.id)
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


def _foreseen(studio: Studio, video: Video) -> None:
    """What will differ, said before anything runs."""
    forecast = studio.planner.foresee(video.id)
    if forecast.causes:
        listed = "\n".join(f"- {plain(cause(each))}" for each in forecast.causes)
        st.info(f"Regenerating here can look different:\n{listed}", icon=":material/compare_arrows:")
    elif not forecast.known:
        st.caption(":material/help: Not known yet whether this machine makes the same pixels: that shows once "
                   "the model is loaded.")
    else:
        st.caption(":material/check: This machine matches the one that made it: expect the same pixels.")


def _open(video_id: str) -> None:
    open_video(video_id)
    st.rerun()


def _compare(a: str, b: str) -> None:
    compare(a, b)
    st.rerun()
