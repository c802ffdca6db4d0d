"""The progress of bulk actions, the result of the last one, and its undo."""

from typing import Any

import streamlit as st

from core.errors import StudioError
from core.jobs.queue.bulk_queue import BulkAction
from core.operations.bulk_actions import Queued
from pages.parts.formatting import some
from pages.parts.polling import ids, poll_while
from pages.parts.shell import current_studio
from pages.parts.toasts import tell_failure
from pages.parts.video_card import open_video


def deleted(video_ids: tuple[str, ...]) -> None:
    """Remember a video that was moved into the trash, to offer its undo."""
    _remember(deleted=video_ids)


def begun(bulk_id: int) -> None:
    """Remember a bulk action, to show its result."""
    _remember(bulk=bulk_id)


def queued(result: Queued) -> None:
    """Remember the queued jobs, to show their number."""
    _remember(queued=result)


def _remember(**what: Any) -> None:
    st.session_state.update({"deleted": (), "bulk": None, "queued": None, **what})


def done_row() -> None:
    """Draw the running bulk actions with a Stop button, and the result of the last action in this tab."""
    poll_while(lambda: current_studio().bulk_actions.unfinished(), _working, ids)
    if st.session_state.get("deleted"):
        _row("The video is in the trash.", (), bring_back, st.session_state.deleted)
    elif st.session_state.get("queued"):
        result: Queued = st.session_state.queued
        _row(f"{some(len(result.jobs), 'video')} will be made again.", result.refused)
    elif st.session_state.get("bulk"):
        try:
            bulk = current_studio().bulk_actions.bulk(st.session_state.bulk)
        except StudioError:
            return  # the action is too old: the studio has forgotten it
        if bulk.ended is not None:
            trash = current_studio().settings.trash_days > 0
            undo = _undo_bulk if bulk.action == "delete" and bulk.done > bulk.refusals and trash else None
            _row(done(bulk, trash), bulk.refused, undo, bulk.id)


def _working(bulk_actions: tuple[BulkAction, ...]) -> None:
    for bulk in bulk_actions:
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"bulk_{bulk.id}"):
            st.progress(bulk.done / bulk.total, f"{doing(bulk)}: {bulk.done:,} of {bulk.total:,}")
            st.button("Stop", icon=":material/stop:", key=f"stop_{bulk.id}", disabled=bulk.stop_requested,
                      on_click=_stop, args=(bulk.id,))


def _stop(bulk_id: int) -> None:
    try:
        current_studio().bulk_actions.stop(bulk_id)
    except StudioError as error:
        tell_failure(error)


def doing(bulk: BulkAction) -> str:
    """The words for a running bulk action: `Deleting`."""
    return {"delete": "Deleting", "restore": "Restoring", "erase": "Deleting permanently"}.get(
        bulk.action, "Tagging" if bulk.args.get("favorite") is None else "Changing favourites")


def done(bulk: BulkAction, trash: bool) -> str:
    """The result of a bulk action: `12 videos are in the trash.`"""
    count = bulk.done - bulk.refusals
    videos, are = some(count, "video"), "is" if count == 1 else "are"
    favourites = "a favourite" if count == 1 else "favourites"
    favorite = bulk.args.get("favorite")
    sentence = {
        "delete": f"{videos} {are} in the trash." if trash else f"{videos} {are} deleted.",
        "restore": f"{videos} {are} back in the library.", "erase": f"{videos} {are} permanently deleted.",
        "change": f"The tags of {videos} are changed." if favorite is None else
                  f"{videos} {are} marked as {favourites}." if favorite else
                  f"{videos} {are} not {favourites} any more.",
    }[bulk.action]
    refused = f" {bulk.refusals:,} {'was' if bulk.refusals == 1 else 'were'} refused." if bulk.refusals else ""
    return (f"Stopped after {bulk.done:,} of {bulk.total:,}. " if bulk.stopped else "") + sentence + refused


def _row(sentence: str, refused: tuple[tuple[str, str], ...], undo: Any = None, what: Any = None) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="done"):
        st.text(sentence, width="content")
        if refused:
            with st.popover("Why", icon=":material/info:", key="refused"):
                for video_id, why in refused:
                    st.text(f"{video_id}: {why}")
        if undo is not None:
            st.button("Undo", icon=":material/undo:", key="undo", on_click=undo, args=(what,))
        st.button("", icon=":material/close:", type="tertiary", key="done_read", on_click=_remember,
                  help="Hide this line")


def _undo_bulk(bulk_id: int) -> None:
    try:
        begun(current_studio().bulk_actions.undo(bulk_id).id)
    except StudioError as error:
        tell_failure(error)


def bring_back(video_ids: tuple[str, ...]) -> None:
    """Restore deleted videos from the trash. If the address names a video, open the restored one."""
    _remember()
    for video_id in video_ids:
        try:
            current_studio().bulk_actions.restore_one(video_id)
        except StudioError as error:
            tell_failure(error)
        else:
            if "video" in st.query_params:
                open_video(video_id)
