"""Choosing what an opened video is compared with: its relatives, or whatever is found."""

from collections.abc import Iterable

import streamlit as st

from core.domain.video import Video, is_id
from core.library.search.entry import Entry
from core.library.search.query import Query
from core.studio import Studio
from pages.parts.compared import compare, is_here
from pages.parts.formatting import age, shorten

OFFERED = 6


def compare_with(studio: Studio, video: Video) -> None:
    """Draw the button and, behind it, the choice."""
    with st.popover("Compare with another video", icon=":material/compare:", key="compare_with", width="stretch"):
        text = st.text_input("Search", key=f"compare_q_{video.id}", type="search", icon=":material/search:",
                             placeholder="Search prompts and tags, or paste an id")
        found = _found(studio, video, text.strip())
        if not found:
            st.caption("No other video matches.")
        for other in found:
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.image(f"/app/static/poster/{other.id}.webp", width=48, alt="")
                with st.container(gap=None, width="stretch"):
                    st.text(shorten(other.prompt, 60))
                    st.caption(f"{_kin(video, other)}{_seed(other)}{age(other.created)}")
                st.button("Compare", key=f"compare_{other.id}", on_click=compare, args=in_order(video, other))


def in_order(one: Video, other: Entry) -> tuple[str, str]:
    """A and B: a parent before its child, else the older one first."""
    if one.parent == other.id or (other.parent != one.id and (other.created, other.id) < (one.created, one.id)):
        return other.id, one.id
    return one.id, other.id


def _found(studio: Studio, video: Video, text: str) -> list[Entry]:
    """What is offered: with nothing searched for, the relatives first, then the newest."""
    known = studio.library.known
    if is_id(text):
        offered: Iterable[Entry | None] = [known(text)]
    else:
        offered = studio.search(Query(text=text, page_size=2 * OFFERED)).entries
    if not text:
        children = studio.search(Query(parent=video.id, page_size=OFFERED)).entries
        offered = [known(video.parent or ""), *children, *offered]
    different = {other.id: other for other in offered
                 if other is not None and other.id != video.id and is_here(studio, other.id)}
    return list(different.values())[:OFFERED]


def _seed(other: Entry) -> str:
    return f"seed {other.seed} · " if other.recipe else "from outside · "


def _kin(video: Video, other: Entry) -> str:
    if video.parent == other.id:
        return "its parent · "
    return "made from it · " if other.parent == video.id else ""
