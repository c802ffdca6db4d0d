"""A video in the gallery's grid: its poster, two lines of prompt, and its one-click actions."""

from collections.abc import Callable, Iterable

import streamlit as st

from core.domain.video import is_id
from core.errors import StudioError
from core.library.search.entry import Entry
from pages.parts.formatting import VERDICT_COLORS, VERDICT_ICONS, age, plain, short_seed, shorten
from pages.parts.player import regenerate
from pages.parts.shell import current_studio, only_looking, style
from pages.parts.toasts import tell_failure

TAG_LETTERS = 14
NEWER = ("A newer studio made it. It can be played and downloaded here. Update the studio to see how it was made, "
         "to change it, or to make it again.")
NO_RECIPE = "It came from outside: its settings are unknown, so it cannot be generated again."
_MOVING = "{{ background-image: url(/app/static/animation/{id}.webp); }}"


def moving(video_ids: Iterable[str]) -> None:
    """Let the posters of these videos move while they are hovered or focused by keyboard.

    A browser fetches the picture of a rule when the rule first applies, so nothing is loaded before that. Posters
    stay still if the person prefers less motion, and on a screen without a pointer.
    """
    ids = [video_id for video_id in video_ids if is_id(video_id)]
    hovered = "\n".join(f".st-key-poster_{id}:hover::after {_MOVING.format(id=id)}" for id in ids)
    focused = "\n".join(f".st-key-poster_{id}:has(:focus-visible)::after {_MOVING.format(id=id)}" for id in ids)
    still = "@media (prefers-reduced-motion: no-preference)"
    style(f"{still} and (hover: hover) {{\n{hovered}\n}}\n{still} {{\n{focused}\n}}")


def video_card(entry: Entry, model_title: str, damaged: bool, newer: bool,
               box: Callable[[Entry], None] | None = None, press: Callable[[Entry], None] | None = None) -> None:
    """Draw one card.

    Args:
        damaged: a file of it is missing or unreadable; the card shows this in place of the poster.
        newer: a newer studio wrote its sidecar, so it cannot be changed.
        box: drawn upon the poster; None: no box. press: called by a press on the poster; None: open the video.
    """
    with st.container(key=f"card_{entry.id}", gap="xsmall"):
        if box is not None:
            box(entry)
        with st.container(key=f"poster_{entry.id}", horizontal_alignment="center", vertical_alignment="center"):
            if damaged:
                st.badge("missing or damaged", icon=":material/broken_image:", color="orange")
            else:
                st.image(f"/app/static/poster/{entry.id}.webp", width="stretch", alt="")
            st.button(f"Open: {plain(shorten(entry.prompt, 80))}", key=f"open_{entry.id}",
                      on_click=press or _open, args=(entry,))
        with st.container(key=f"words_{entry.id}"):
            st.text(shorten(entry.prompt, 72))
        seed = f"{plain(model_title)} · seed {short_seed(entry.seed)}"
        made = "Made by a newer studio" if newer else seed if entry.recipe else "From outside, no recipe"
        fixed = damaged or newer or only_looking()
        st.caption(f"{made}  \n"
                   f"{age(entry.created)}{short_tags(entry.tags)}")
        with st.container(horizontal=True, gap="xsmall", vertical_alignment="center", key=f"tools_{entry.id}"):
            st.button("", icon=":material/replay:", key=f"again_{entry.id}", on_click=regenerate, args=(entry.id,),
                      help=NEWER if newer else "Regenerate with same seed" if entry.recipe else NO_RECIPE,
                      disabled=fixed or not entry.recipe)
            st.button(":orange[★]" if entry.favorite else "☆", key=f"star_{entry.id}",
                      on_click=star, args=(entry.id, not entry.favorite), disabled=fixed,
                      help="Not a favourite any more" if entry.favorite else "Mark as a favourite")
            if entry.verdict is not None and not damaged:
                kind = entry.verdict
                st.badge(kind.capitalize(), icon=VERDICT_ICONS[kind], color=VERDICT_COLORS[kind])


def _open(entry: Entry) -> None:
    open_video(entry.id)


def short_tags(tags: tuple[str, ...]) -> str:
    """The tags that fit on the line, as badges, and the number of the others."""
    shown, room = [], TAG_LETTERS
    for tag in tags:
        text = shorten(tag, TAG_LETTERS)
        if len(text) > room:
            break
        shown.append(f" :gray-badge[{plain(text)}]")
        room -= len(text) + 2
    more = len(tags) - len(shown)
    return "".join(shown) + (f" +{more}" if more else "")


def open_video(video_id: str) -> None:
    """Put the video into the address; the gallery then shows it."""
    st.query_params["video"] = video_id


def star(video_id: str, favorite: bool) -> None:
    """Store in the sidecar whether the video is a favourite; called before the page is drawn."""
    try:
        current_studio().change(video_id, favorite=favorite)
    except StudioError as error:
        tell_failure(error)
