"""The choice of a second video for a comparison: a relative, or any video that a search finds."""

import streamlit as st

from core.domain.video import Video, is_id
from core.library.lineage import Lineage
from core.library.lookup import HERE
from core.library.search.entry import Entry
from core.library.search.query import Query
from pages.parts.compared import compare
from pages.parts.formatting import age, shorten
from pages.parts.shell import current_studio

OFFERED = 6


def compare_with(video: Video, family: Lineage) -> None:
    """Draw the button with the choice in its popover. `family`: the lineage of the video."""
    with st.popover("Compare with another video", icon=":material/compare:", key="compare_with", width="stretch"):
        text = st.text_input("Search", key=f"compare_q_{video.id}", type="search", icon=":material/search:",
                             placeholder="Search prompts and tags, or paste an id")
        found = _found(video, family, text.strip())
        if not found:
            st.caption("No other video matches.")
        for other in found:
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.image(f"/app/static/poster/{other.id}.webp", width=48, alt="")
                with st.container(gap=None, width="stretch"):
                    st.text(shorten(other.prompt, 60))
                    st.caption(f"{_kin(video, other)}{_seed(other)}{age(other.created)}")
                st.button("Compare", key=f"compare_{other.id}", on_click=compare, args=in_order(video, other))


def in_order(one: Video, other: Video | Entry) -> tuple[str, str]:
    """A and B: a parent before its child, else the older one first."""
    if one.parent == other.id or (other.parent != one.id and (other.created, other.id) < (one.created, one.id)):
        return other.id, one.id
    return one.id, other.id


def _found(video: Video, family: Lineage, text: str) -> list[Entry]:
    """The offered videos: stored and undamaged ones only. Without a search text, the relatives come first."""
    offered: list[Entry] = []
    if is_id(text):
        found = current_studio().look_up(text)
        offered += [found.entry] if found.entry is not None and found.state == HERE else []
    else:
        if not text:
            relatives = (*family.ancestors[-1:], *family.children[:OFFERED])
            offered += [Entry.of(kin.video, 0) for kin in relatives if kin.video is not None]
        page = current_studio().search(Query(text=text, page_size=2 * OFFERED))
        offered += [entry for entry in page.entries if entry.id not in (*page.damaged, *page.newer)]
    different = {other.id: other for other in offered if other.id != video.id}
    return list(different.values())[:OFFERED]


def _seed(other: Entry) -> str:
    return f"seed {other.seed} · " if other.recipe else "from outside · "


def _kin(video: Video, other: Entry) -> str:
    if video.parent == other.id:
        return "its parent · "
    return "made from it · " if other.parent == video.id else ""
