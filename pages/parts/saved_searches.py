"""Saved searches: save the current search under a name, run it again, rename it, delete it."""

import streamlit as st

from core.errors import StudioError
from core.library.search.query import Query
from core.library.search.saved_searches import MAX_NAME, SavedSearch
from pages.parts.filters import ask
from pages.parts.formatting import plain
from pages.parts.shell import current_studio
from pages.parts.toasts import tell, tell_failure


def saved_searches(query: Query) -> None:
    """Draw the button with its popover. `query`: the current search."""
    with st.popover("Saved", icon=":material/bookmark:", key="saved"):
        try:
            saved = current_studio().searches.all()
        except StudioError as error:
            st.warning(plain(str(error)), icon=":material/warning:")
            saved = ()
        for number, search in enumerate(saved):
            _row(number, search, search.query.document() == query.document())
        if query.document():
            with st.container(horizontal=True, vertical_alignment="bottom"):
                st.text_input("Save this search as", key="saved_name", max_chars=MAX_NAME,
                              placeholder="A name for it", on_change=_save, args=(query,))
                st.button("Save", key="save_search", type="primary", on_click=_save, args=(query,))
        elif not saved:
            st.text("Search or filter for something, then give it a name here.")
        else:
            st.caption("Search or filter for something to save it here.")


def _row(number: int, search: SavedSearch, now: bool) -> None:
    """Draw one saved search: run it, rename it, delete it."""
    if st.session_state.get("renaming") == search.name:
        with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall"):
            key = f"rename_{number}"
            st.session_state.setdefault(key, search.name)
            st.text_input("New name", key=key, max_chars=MAX_NAME, on_change=_rename, args=(search.name, key))
            st.button("Rename", key=f"renamed_{number}", on_click=_rename, args=(search.name, key))
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.button(plain(search.name), key=f"ask_{number}", width="stretch", on_click=ask, args=(search.query,),
                  icon=":material/bookmark_added:" if now else ":material/search:", disabled=now,
                  help="You see this search now." if now else None)
        st.button("", icon=":material/edit:", key=f"edit_{number}", help="Rename", on_click=_begin,
                  args=(search.name,))
        st.button("", icon=":material/delete:", key=f"forget_{number}", on_click=_forget, args=(search,),
                  help="Delete this saved search. No video is touched.")


def _begin(name: str) -> None:
    st.session_state.renaming = name


def _save(query: Query) -> None:
    name = st.session_state.get("saved_name", "")
    if not name.strip():
        return
    try:
        current_studio().searches.save(name, query)
    except StudioError as error:
        tell_failure(error)
        return
    st.session_state.saved_name = ""
    tell(f"Saved as {plain(name)}.", "bookmark_added")


def _rename(name: str, key: str) -> None:
    try:
        current_studio().searches.rename(name, st.session_state[key])
    except StudioError as error:
        tell_failure(error)
        return
    st.session_state.pop("renaming", None)


def _forget(search: SavedSearch) -> None:
    try:
        current_studio().searches.delete(search.name)
    except StudioError as error:
        tell_failure(error)
        return
    tell(f"{plain(search.name)} is no saved search any more.", "bookmark_remove")
