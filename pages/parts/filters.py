"""What the gallery is asked, kept in the address: every field is bound to a parameter that begins with g_.

Streamlit takes the parameter of a bound field out of the address when the field is not drawn. So the fields are
drawn on both faces of the gallery, the grid and the opened video; the page number, drawn on one, is not bound.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import streamlit as st

from core.library.query import SORTS, Facets, Query
from core.models import ModelSpec
from core.receipt import DRIFTED, EQUIVALENT, IDENTICAL
from pages.parts.words import plain

_SORT_TITLES = {"newest": "Newest first", "oldest": "Oldest first", "prompt": "Prompt", "seed": "Seed",
                "num_frames": "Frames", "num_inference_steps": "Steps", "guidance_scale": "Guidance",
                "longest render": "Longest render"}
_BOUND: dict[str, Any] = {"bind": "query-params"}


@dataclass(frozen=True)
class Filter:
    """One filter: the name in the address, its title, the field of `Query`, and how its value is said."""

    key: str
    title: str
    name: str
    empty: Any = None
    say: Callable[[Any], str] = str


FILTERS = (
    Filter("g_q", "Search", "text", ""), Filter("g_model", "Model", "model"), Filter("g_seed", "Seed", "seed", ""),
    Filter("g_frames", "Frames", "num_frames"), Filter("g_steps", "Steps", "num_inference_steps"),
    Filter("g_guidance", "Guidance", "guidance_scale", None, "{:g}".format),
    Filter("g_verdict", "Verdict", "verdict", None, str.capitalize),
    Filter("g_from", "From", "date_from"), Filter("g_to", "To", "date_to"),
    Filter("g_favorite", "Favourites", "favorite", False, lambda _on: "only"),
)


def filter_row(facets: Facets, models: dict[str, ModelSpec]) -> Query:
    """Draw search, filters and order; return what they ask."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("Search", key="g_q", placeholder="Search prompts and tags", type="search",
                      icon=":material/search:", label_visibility="collapsed", on_change=_first_page, **_BOUND)
        chosen = [row for row in FILTERS if row.key != "g_q" and _is_set(row)]
        label = f"Filters ({len(chosen)})" if chosen else "Filters"
        with st.popover(label, icon=":material/filter_list:", key="filters"):
            _fields(facets, models)
        st.selectbox("Order", list(SORTS), key="g_sort", format_func=lambda key: _SORT_TITLES.get(key, key),
                     label_visibility="collapsed", width=180, on_change=_first_page, **_BOUND)
    return _query()


def active_filters() -> bool:
    """Draw each active filter with a way to take it away; whether there is any."""
    active = _active()
    if active:
        with st.container(horizontal=True, gap="xsmall"):
            for row in active:
                value = row.say(st.session_state[row.key])
                st.button(f"{row.title}: {plain(value)}", icon=":material/close:", icon_position="right",
                          key=f"clear_{row.key}", on_click=_clear, args=(row,))
            if len(active) > 1:
                st.button("Clear all", type="tertiary", key="clear_all", on_click=clear)
    return bool(active)


def _is_set(row: Filter) -> bool:
    """Whether a filter is on, also before its field is drawn for the first time."""
    if row.key in st.session_state:
        return st.session_state[row.key] != row.empty
    return row.key in st.query_params


def _active() -> list[Filter]:
    return [row for row in FILTERS if st.session_state.get(row.key, row.empty) != row.empty]


def clear() -> None:
    """Take every filter away."""
    for row in FILTERS:
        _clear(row)


def _clear(row: Filter) -> None:
    st.session_state[row.key] = row.empty
    _first_page()


def _first_page() -> None:
    """Other filters: their results from the beginning, and no video open over them."""
    for name in ("g_page", "video"):
        st.query_params.pop(name, None)


def page_number(pages: int) -> int:
    """Draw the numbers of the pages, when there is more than one; which one the address asks for."""
    asked = st.query_params.get("g_page", "1")
    number = min(int(asked), pages) if re.fullmatch(r"[1-9][0-9]{0,8}", asked) else 1
    if pages > 1:
        st.session_state.g_page_shown = number
        with st.container(horizontal=True, horizontal_alignment="center"):
            st.pagination(pages, key="g_page_shown", width="stretch", on_change=_turn)
    return number


def _turn() -> None:
    st.query_params["g_page"] = str(st.session_state.g_page_shown)


def _fields(facets: Facets, models: dict[str, ModelSpec]) -> None:
    def choice(title: str, options: tuple[Any, ...], key: str, say: Callable[[Any], str] = str) -> None:
        st.selectbox(title, options, index=None, placeholder="Any", key=key, format_func=say,
                     on_change=_first_page, **_BOUND)

    choice("Model", facets.models, "g_model", lambda key: models[key].title if key in models else key)
    st.text_input("Seed", key="g_seed", placeholder="Any", on_change=_first_page, **_BOUND)
    frames, steps, guidance = st.columns(3)
    with frames:
        choice("Frames", facets.num_frames, "g_frames")
    with steps:
        choice("Steps", facets.num_inference_steps, "g_steps")
    with guidance:
        choice("Guidance", facets.guidance_scales, "g_guidance", "{:g}".format)
    first, last = st.columns(2)
    first.date_input("From", value=None, key="g_from", format="YYYY-MM-DD", on_change=_first_page, **_BOUND)
    last.date_input("To", value=None, key="g_to", format="YYYY-MM-DD", on_change=_first_page, **_BOUND)
    choice("Verdict", (IDENTICAL, EQUIVALENT, DRIFTED), "g_verdict", str.capitalize)
    st.toggle("Favourites only", key="g_favorite", on_change=_first_page, **_BOUND)


def _query() -> Query:
    state = st.session_state
    asked = {row.name: state[row.key] for row in _active()}
    if "seed" in asked:
        seed = asked["seed"].strip()
        asked["seed"] = int(seed) if re.fullmatch(r"[0-9]{1,19}", seed) else -1
    return Query(**asked, sort=state.g_sort)
