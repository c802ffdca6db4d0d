"""The selected videos, over all pages and filters, and the bulk actions on them.

The session stores the selection by id. A tick changes it; paging and filtering do not. The address repeats it, so it
survives a reload: a few ids are written out, and many ids are named by their archive. A restarted studio no longer
knows that name.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

import streamlit as st

from core.domain.models import ModelSpec
from core.errors import StudioError
from core.library.search.entry import Entry
from core.library.search.query import Page, Query
from core.library.tags import MAX_COUNT
from core.operations.bulk_actions import BulkActions
from pages.parts.bulk_progress import begun, queued
from pages.parts.formatting import plain, size, some
from pages.parts.shell import current_studio, only_looking
from pages.parts.toasts import say_in_passing, tell, tell_failure
from pages.parts.video_table import table_to_choose_from

IN_ADDRESS, MOST_IN_ADDRESS = "g_pick", 32


def picking() -> bool:
    """Whether videos are being chosen now."""
    if "picking" not in st.session_state:
        asked = st.query_params.get(IN_ADDRESS)
        st.session_state.update(picking=asked is not None, picked=_from_address(asked or ""))
    return bool(st.session_state.picking)


def picked() -> dict[str, int]:
    """The chosen videos: id → bytes of the MP4."""
    chosen: dict[str, int] = st.session_state.setdefault("picked", {})
    return chosen


def _from_address(asked: str) -> dict[str, int]:
    """The selection of the address, without videos that are not in the library."""
    ids: Iterable[str] = asked.split(",")
    if re.fullmatch(r"[0-9a-f]{32}", asked):
        try:
            ids = current_studio().bulk_actions.packed(asked)
        except StudioError:
            tell("The studio was restarted, and your selection is lost. Select the videos again.", "info")
            say_in_passing()
            ids = ()
    return current_studio().bulk_actions.known(ids)


def _into_address(chosen: dict[str, int]) -> None:
    asked = ",".join(chosen) if len(chosen) <= MOST_IN_ADDRESS else current_studio().bulk_actions.pack(chosen)
    if st.query_params.get(IN_ADDRESS) != asked:
        st.query_params[IN_ADDRESS] = asked


def pick_button() -> None:
    """Draw the button that starts the selection."""
    st.button("Select", icon=":material/check_box:", type="tertiary", key="pick", on_click=_pick, args=(True,),
              help="Choose videos to tag, download, regenerate or delete together")


def _pick(on: bool) -> None:
    st.session_state.picking = on
    if not on:
        _pick_none()
        st.query_params.pop(IN_ADDRESS, None)


def toggle(entry: Entry) -> None:
    """Add a video to the selection, or remove it."""
    _choose(entry, entry.id not in picked())


def _choose(entry: Entry, on: bool) -> None:
    if on:
        picked()[entry.id] = entry.bytes
    else:
        picked().pop(entry.id, None)


def tick_box(entry: Entry) -> None:
    """Draw the box on a card. It always shows the selection."""
    key = f"pick_{entry.id}"
    st.session_state[key] = entry.id in picked()
    st.checkbox(f"Select: {plain(entry.prompt[:80])}", key=key, label_visibility="collapsed",
                on_change=toggle, args=(entry,))


def tick_table(page: Page, models: dict[str, ModelSpec]) -> None:
    """Draw the page as a table with a box in each row. The ticks are the selected videos of this page."""
    ids = [entry.id for entry in page.entries]
    # while the key of a table stays the same, so do its ticks: another page or way to select needs a new key
    key = f"table_{st.session_state.get('chosen_elsewhere', 0)}_{hash(tuple(ids))}"
    ticked = table_to_choose_from(page, models, picked(), key)
    if ticked != {video_id for video_id in ids if video_id in picked()}:
        for entry in page.entries:
            _choose(entry, entry.id in ticked)
        st.rerun()


def _elsewhere() -> None:
    st.session_state.chosen_elsewhere = st.session_state.get("chosen_elsewhere", 0) + 1


def selection_bar(query: Query, page: Page) -> None:
    """Draw the number and size of the selected videos, buttons to select more, and the bulk actions."""
    chosen = picked()
    _into_address(chosen)
    with st.container(border=True, key="selection", gap="small"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key="choices"):
            large = f" · {size(sum(chosen.values()))}" if chosen else ""
            st.markdown(f"**{len(chosen):,} selected**{large}", width="content")
            st.button("Select page", type="tertiary", key="pick_page", on_click=_pick_page, args=(page,),
                      disabled=not page.entries)
            if page.pages > 1:
                st.button(f"Select all {page.total:,}", type="tertiary", key="pick_all", on_click=_pick_all,
                          args=(query,), help="Every video that was found, on all pages")
            st.button("Clear", type="tertiary", key="pick_none", on_click=_pick_none, disabled=not chosen)
            st.space("stretch")
            st.button("Done", icon=":material/close:", key="picked_done", on_click=_pick, args=(False,))
        if chosen:
            with st.container(horizontal=True, vertical_alignment="center", gap="small", key="selection_actions"):
                _bulk_buttons(chosen)


def _pick_page(page: Page) -> None:
    _elsewhere()
    for entry in page.entries:
        _choose(entry, True)


def _pick_all(query: Query) -> None:
    _elsewhere()
    picked().update(current_studio().bulk_actions.found(query))


def _pick_none() -> None:
    _elsewhere()
    picked().clear()


def _bulk_buttons(chosen: dict[str, int]) -> None:
    studio = current_studio()
    fixed = only_looking()
    with st.popover("Tags", icon=":material/sell:", key="bulk_tags", disabled=fixed):
        _tags()
    with st.popover("Favourite", icon=":material/star:", key="bulk_favorite", disabled=fixed):
        st.button("Mark as favourites", key="bulk_star", width="stretch", on_click=_change,
                  args=({"favorite": True},))
        st.button("Not favourites any more", key="bulk_unstar", width="stretch", on_click=_change,
                  args=({"favorite": False},))
    st.link_button("Download ZIP", f"/app/static/archive/{studio.bulk_actions.pack(chosen)}.zip",
                   icon=":material/download:", help="The MP4 and the settings of each, in one file of about "
                   f"{size(sum(chosen.values()))}")
    with st.popover("Regenerate", icon=":material/replay:", key="bulk_regenerate", disabled=fixed):
        st.text("The video will be made again with the same seed." if len(chosen) == 1 else
                f"{len(chosen):,} videos will be made again with the same seeds, one after the other.")
        st.button(f"Queue {some(len(chosen), 'job')}", type="primary", key="bulk_queue", on_click=_regenerate)
    if len(chosen) == 2:
        st.button("Compare", icon=":material/compare:", key="bulk_compare", on_click=_compare)
    if studio.settings.trash_days:
        st.button("Delete", icon=":material/delete:", key="bulk_delete", on_click=_delete,
                  disabled=fixed)
        return
    with st.popover("Delete", icon=":material/delete:", key="bulk_delete_asked", disabled=fixed):
        st.text(f"Delete {some(len(chosen), 'video')}? This cannot be undone.")
        st.button("Delete permanently", type="primary", key="bulk_delete", on_click=_delete)


def _tags() -> None:
    tags = list(current_studio().facets().tags)
    # each button is beside its field: below it, the open list would cover it
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.multiselect("Tags to add", tags, key="bulk_add", accept_new_options=True, max_selections=MAX_COUNT,
                       select_all=False, placeholder="A tag, or several")
        st.button("Add", type="primary", key="bulk_tag", width=90, disabled=not st.session_state.bulk_add,
                  on_click=_tag, args=("add", "bulk_add"))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.multiselect("Tags to remove", tags, key="bulk_remove", select_all=False,
                       placeholder="A tag, or several")
        st.button("Remove", type="primary", key="bulk_untag", width=90, disabled=not st.session_state.bulk_remove,
                  on_click=_tag, args=("remove", "bulk_remove"))


def _tag(action: str, key: str) -> None:
    _change({action: st.session_state[key]})
    st.session_state[key] = []


def _change(wanted: dict[str, Any]) -> None:
    _begin(lambda many: many.change(list(picked()), **wanted).id)


def _delete() -> None:
    if _begin(lambda many: many.delete(list(picked())).id):
        _pick_none()


def _begin(action: Callable[[BulkActions], int]) -> bool:
    try:
        begun(action(current_studio().bulk_actions))
    except StudioError as error:
        tell_failure(error)
        return False
    return True


def _regenerate() -> None:
    try:
        queued(current_studio().bulk_actions.regenerate(list(picked())))
    except StudioError as error:
        tell_failure(error)


def _compare() -> None:
    st.query_params["compare"] = ",".join(picked())
