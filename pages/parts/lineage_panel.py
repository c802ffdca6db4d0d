"""The story of an opened video: its family tree, with links to the relatives."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.domain.video import REGENERATE, REMIX, Video
from core.library.lineage import Kin, Lineage
from core.library.lookup import DAMAGED, GONE, NEWER, TRASHED
from pages.parts.compare_with import in_order
from pages.parts.compared import compare
from pages.parts.formatting import FIELDS, VERDICT_COLORS, VERDICT_ICONS, age, plain, short_seed, shorten
from pages.parts.shell import style
from pages.parts.video_card import open_video

DEEPEST = 4  # deeper rows have the same indent as this one
_KINDS = {REGENERATE: "Regenerated", REMIX: "Remixed"}
_ABSENT = {  # its icon and its words
    TRASHED: (":material/delete:", "In the trash"), NEWER: (":material/lock:", "Made by a newer studio"),
    DAMAGED: (":material/broken_image:", "A file of it is missing or damaged"),
    GONE: (":material/visibility_off:", "Not in this library"),
}
_INDENT = "".join(
    f'[class*="st-key-kin_{depth}_"] {{ --in: calc({depth} * var(--step)); margin-left: var(--in); '
    "width: calc(100% - var(--in)); }" for depth in range(1, DEEPEST + 1))
_STEP = ".st-key-story { --step: 1rem; } @media (max-width: 640px) { .st-key-story { --step: 0.4rem; } } "
_ITSELF = '[class*="st-key-kin_"][class*="_itself"] { border-left: 3px solid #0f8299; padding-left: 0.5rem; }'


def story(video: Video, family: Lineage) -> None:
    """Draw the ancestors of the video, its siblings, and its children."""
    if family.alone:
        return
    style(_STEP + _INDENT + _ITSELF)
    with st.container(key="story", gap="small"):
        st.markdown("**Story**")
        for depth, kin in enumerate(family.ancestors):
            _row(kin, depth, video)
        depth = len(family.ancestors)
        _itself(family.itself, depth)
        for kin in family.children:
            _row(kin, depth + 1, video)
        _more(family.more_children, "made from it")
        if family.siblings:
            st.caption("Made from the same video")
            for kin in family.siblings:
                _row(kin, depth, video)
            _more(family.more_siblings, "made from the same video")


def edge(kin: Kin) -> str:
    """How a video was made from its parent, and the changes: `Remixed: seed 1 → 2, prompt changed`."""
    made = kin.kind or kin.changes is not None or (kin.video and kin.video.parent)
    how = _KINDS.get(kin.kind, "Made from another video" if made else "")
    if kin.changes is None or kin.kind == REGENERATE:
        return how
    changed = ", ".join(_change(change.name, change.before, change.after) for change in kin.changes)
    return ": ".join(filter(None, (how, changed or "the same settings")))


def _change(name: str, before: object, after: object) -> str:
    title = FIELDS[name].lower()
    if name in ("prompt", "negative_prompt"):
        return f"{title} changed"
    return f"{title} {_short(name, before)} → {_short(name, after)}"


def _short(name: str, value: object) -> str:
    if name == "seed":
        return short_seed(value if isinstance(value, int) else None)
    return f"{value:g}" if isinstance(value, float) else shorten(str(value), 24)


def _row(kin: Kin, depth: int, beside: Video) -> None:
    with _place(kin, depth, ""):
        if kin.video is None:
            _absent(kin)
            return
        _words(kin, kin.video)
        with st.container(horizontal=True, gap="xsmall", width="content"):
            st.button("", icon=":material/compare:", key=f"story_compare_{kin.id}", help="Compare with this video",
                      on_click=compare, args=in_order(kin.video, beside))
            _open_button(kin)


def _place(kin: Kin, depth: int, suffix: str) -> DeltaGenerator:
    return st.container(horizontal=True, vertical_alignment="center", gap="small",
                        key=f"kin_{min(depth, DEEPEST)}_{kin.id}{suffix}")


def _itself(kin: Kin, depth: int) -> None:
    with _place(kin, depth, "_itself"):
        if kin.video is not None:
            _words(kin, kin.video, "This video")


def _words(kin: Kin, video: Video, name: str = "") -> None:
    """Draw the poster of a relative, its prompt, its origin, and its verdict."""
    st.image(f"/app/static/poster/{video.id}.webp", width=52, alt="")
    with st.container(gap=None, width="stretch"):
        st.text(shorten(video.title, 80))
        more = f"{kin.children} made from it" if kin.children and not name else ""
        st.caption(" · ".join(plain(part) for part in (name, edge(kin), age(video.created), more) if part))
        if video.verdict is not None:
            kind = video.verdict.verdict
            st.badge(kind.capitalize(), icon=VERDICT_ICONS[kind], color=VERDICT_COLORS[kind])


def _absent(kin: Kin) -> None:
    """Draw a relative that cannot be read here: the reason, and the known facts."""
    icon, why = _ABSENT[kin.state]
    if kin.state in (NEWER, TRASHED):
        st.image(f"/app/static/poster/{kin.id}.webp", width=52, alt="")
    else:
        with st.container(width=52, height=52, horizontal_alignment="center", vertical_alignment="center",
                          key=f"absent_{kin.id}"):
            st.markdown(icon, width="content")
    with st.container(gap=None, width="stretch"):
        st.text(shorten(kin.prompt, 80) if kin.prompt else kin.id)
        how = edge(kin)
        seed = f"seed {short_seed(kin.recipe.seed)}" if kin.recipe and "seed" not in how else ""
        known = how, seed, kin.created and age(kin.created)
        st.caption(" · ".join(plain(part) for part in (why, *known) if part))
    if kin.state in (NEWER, DAMAGED):
        _open_button(kin)


def _open_button(kin: Kin) -> None:
    st.button("", icon=":material/play_arrow:", key=f"story_{kin.id}", help="Open", on_click=open_video,
              args=(kin.id,))


def _more(count: int, what: str) -> None:
    if count:
        st.caption(f"and {count:,} more {what}")
