"""The search of the gallery, stored in the address: every field is bound to a parameter that begins with g_.

Streamlit removes the parameter of a bound field from the address if the field is not drawn. So the fields are drawn
on both views of the gallery, the grid and the opened video. The page number is drawn on one only and is not bound.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import streamlit as st

from core.domain.models import ModelSpec
from core.domain.modes import MODES
from core.domain.verdict import DRIFTED, EQUIVALENT, IDENTICAL
from core.families.registry import SCHEDULERS
from core.library.search.facets import Facets
from core.library.search.query import SORTS, Query
from pages.parts.formatting import plain, shorten

GRID, TABLE = "Grid", "Table"
_BOUND: dict[str, Any] = {"bind": "query-params"}


@dataclass(frozen=True)
class Filter:
    """One filter: the name in the address, its title, the field of `Query`, and the text of a value."""

    key: str
    title: str
    name: str
    empty: Any = None
    say: Callable[[Any], str] = str


def _scheduler(key: str) -> str:
    return SCHEDULERS[key].title if key in SCHEDULERS else key


def _mode(key: str) -> str:
    return MODES[key].title if key in MODES else key


def _size(pixels: tuple[int, int]) -> str:
    return "{}×{}".format(*pixels)


FILTERS = (
    Filter("g_q", "Search", "text", ""), Filter("g_negative", "Negative prompt", "negative_prompt", ""),
    Filter("g_model", "Model", "model"), Filter("g_seed", "Seed", "seed", ""),
    Filter("g_frames", "Frames", "num_frames"), Filter("g_steps", "Steps", "num_inference_steps"),
    Filter("g_guidance", "Guidance", "guidance_scale", None, "{:g}".format),
    Filter("g_fps", "Frames per second", "fps"), Filter("g_scheduler", "Scheduler", "scheduler", None, _scheduler),
    Filter("g_mode", "Mode", "mode", None, _mode), Filter("g_lora", "LoRA", "lora"),
    Filter("g_owner", "Owner", "owner"), Filter("g_size", "Size", "size", None, _size),
    Filter("g_tags", "Tag", "tags", []),
    Filter("g_verdict", "Verdict", "verdict", None, str.capitalize),
    Filter("g_from", "From", "date_from"), Filter("g_to", "To", "date_to"),
    Filter("g_favorite", "Favourites only", "favorite", False),
    Filter("g_damaged", "Damaged only", "damaged", False),
)


def filter_row(facets: Facets, models: dict[str, ModelSpec], beside: Callable[[Query], None]) -> Query:
    """Draw search, filters and order; return their query. `beside` draws a part between them."""
    with st.container(horizontal=True, vertical_alignment="center", key="search_row"):
        st.text_input("Search", key="g_q", placeholder='Search: boat "night sky" -rain', type="search",
                      icon=":material/search:", label_visibility="collapsed", on_change=_first_page, **_BOUND)
        chosen = [row for row in FILTERS if row.key != "g_q" and _is_set(row)]
        label = f"Filters ({len(chosen)})" if chosen else "Filters"
        with st.popover(label, icon=":material/filter_list:", key="filters"):
            _fields(facets, models)
        saved = st.container(width="content")
        st.selectbox("Order", list(SORTS), key="g_sort", format_func=lambda key: SORTS[key].title,
                     label_visibility="collapsed", width=190, on_change=_first_page, **_BOUND)
        st.segmented_control("View", [GRID, TABLE], default=GRID, required=True, key="g_view",
                             label_visibility="collapsed", **_BOUND)
        query = _query()
        with saved:
            beside(query)
    return query


def wants_table() -> bool:
    """Whether the results appear as a table."""
    return st.session_state.get("g_view") == TABLE


def active_filters(count: str, beside: Callable[[], None] | None = None) -> bool:
    """Draw the number of videos, and each active filter with a button to remove it. Returns whether one is active.

    Args:
        beside: draws the end of that line.
    """
    active = _active()
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="found"):
        st.caption(count, width="content")
        if active:
            with st.container(horizontal=True, gap="xsmall", vertical_alignment="center", key="chips"):
                _chips([(row, value) for row in active for value in _values(row)])
        else:
            st.space("stretch")
        if beside is not None:
            with st.container(horizontal=True, vertical_alignment="center", width="content", key="tools"):
                beside()
    return bool(active)


def _chips(chips: list[tuple[Filter, Any]]) -> None:
    for number, (row, value) in enumerate(chips):
        key = f"clear_{row.key}_{number}" if isinstance(row.empty, list) else f"clear_{row.key}"
        label = row.title if value is True else f"{row.title}: {plain(shorten(row.say(value), 40))}"
        st.button(label, icon=":material/close:", icon_position="right", key=key, on_click=_take_away,
                  args=(row, value))
    if len(chips) > 1:
        st.button("Clear all", type="tertiary", key="clear_all", on_click=clear)


def _values(row: Filter) -> list[Any]:
    """The values of an active filter; a list gives one value for each entry."""
    value = st.session_state[row.key]
    return value if isinstance(value, list) else [value]


def _take_away(row: Filter, value: Any) -> None:
    """Remove this value; the other values of a list stay."""
    st.session_state[row.key] = [other for other in _values(row) if other != value] \
        if isinstance(row.empty, list) else row.empty
    st.query_params.pop("g_page", None)  # an open video stays open


def _is_set(row: Filter) -> bool:
    """Whether a filter is active, even before its field is drawn for the first time."""
    if row.key in st.session_state:
        return bool(st.session_state[row.key] != row.empty)
    return row.key in st.query_params


def _active() -> list[Filter]:
    return [row for row in FILTERS if st.session_state.get(row.key, row.empty) != row.empty]


def clear() -> None:
    """Remove every filter."""
    for row in FILTERS:
        st.session_state[row.key] = row.empty
    st.query_params.pop("g_page", None)


def ask(query: Query) -> None:
    """Replace the values of all fields by a search; called before they are drawn."""
    for row in FILTERS:
        value: Any
        if row.name == "size":
            value = (query.width, query.height) if query.width and query.height else None
        else:
            value = getattr(query, row.name)
        if row.name == "tags":
            value = list(value)
        elif row.name == "seed":
            value = "" if value is None else str(value)
        elif row.name in ("date_from", "date_to") and value:
            value = date.fromisoformat(str(value)[:10])
        st.session_state[row.key] = row.empty if value is None else value
    st.session_state.g_sort = query.sort
    _first_page()


def _first_page() -> None:
    """After a change of filters, show the first page and close an open video."""
    for name in ("g_page", "video", "compare"):
        st.query_params.pop(name, None)


def page_number(pages: int) -> int:
    """Draw the page numbers if there is more than one page. Returns the page of the address."""
    asked = st.query_params.get("g_page", "1")
    number = min(int(asked), pages) if re.fullmatch(r"[1-9][0-9]{0,8}", asked) else 1
    if pages > 1:
        key = f"page_from_{number}"  # a new key for each page, so the widget starts at its default
        with st.container(horizontal=True, horizontal_alignment="center", key="g_page_shown"):
            st.pagination(pages, default=number, key=key, width="stretch", on_change=_turn, args=(key,))
    return number


def _turn(key: str) -> None:
    st.query_params["g_page"] = str(st.session_state[key])


def _fields(facets: Facets, models: dict[str, ModelSpec]) -> None:
    def choice(title: str, options: tuple[Any, ...], key: str, say: Callable[[Any], str] = str) -> None:
        st.selectbox(title, _with_chosen(options, key), index=None, placeholder="Any", key=key, format_func=say,
                     on_change=_first_page, **_BOUND)

    with st.container(horizontal=True):
        st.toggle("Favourites only", key="g_favorite", on_change=_first_page, **_BOUND)
        st.toggle("Damaged only", key="g_damaged", on_change=_first_page, **_BOUND)
    st.multiselect("Tags", _with_chosen(facets.tags, "g_tags"), key="g_tags",
                   placeholder="Any; several must all be there", select_all=False, on_change=_first_page, **_BOUND)
    st.text_input("Negative prompt", key="g_negative", placeholder="Any; words, \"phrases\" and -exclusions",
                  on_change=_first_page, **_BOUND)
    with st.grid(2, min_column_width=130):
        choice("Model", facets.models, "g_model", lambda key: models[key].title if key in models else key)
        st.text_input("Seed", key="g_seed", placeholder="Any", on_change=_first_page, **_BOUND)
        choice("Scheduler", facets.schedulers, "g_scheduler", _scheduler)
        choice("Size", facets.sizes, "g_size", _size)
        choice("Frames", facets.num_frames, "g_frames")
        choice("Steps", facets.num_inference_steps, "g_steps")
        choice("Guidance", facets.guidance_scales, "g_guidance", "{:g}".format)
        choice("Frames per second", facets.fps, "g_fps")
        st.date_input("From", value=None, key="g_from", format="YYYY-MM-DD", on_change=_first_page, **_BOUND)
        st.date_input("To", value=None, key="g_to", format="YYYY-MM-DD", on_change=_first_page, **_BOUND)
        choice("Verdict", (IDENTICAL, EQUIVALENT, DRIFTED), "g_verdict", str.capitalize)
        choice("Mode", facets.modes, "g_mode", _mode)
        if facets.owners or st.session_state.get("g_owner"):
            choice("Owner", facets.owners, "g_owner")
        if facets.loras or st.session_state.get("g_lora"):
            choice("LoRA", facets.loras, "g_lora")


def _with_chosen(options: tuple[Any, ...], key: str) -> list[Any]:
    """The options of a field: all values in the library, and an active one that is no longer there."""
    chosen = st.session_state.get(key)
    asked = chosen if isinstance(chosen, list) else [] if chosen is None else [chosen]
    return sorted({*options, *asked})


def _query() -> Query:
    state = st.session_state
    asked = {row.name: state[row.key] for row in _active()}
    if "size" in asked:
        asked["width"], asked["height"] = asked.pop("size")
    if "tags" in asked:
        asked["tags"] = tuple(asked["tags"])
    if "seed" in asked:
        seed = asked["seed"].strip()
        asked["seed"] = int(seed) if re.fullmatch(r"[0-9]{1,19}", seed) else -1
    return Query(**asked, sort=state.g_sort)
