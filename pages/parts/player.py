"""The player of a stored video, with its verdict, its downloads, and the buttons to regenerate and remix it."""

import streamlit as st

from core.domain.verdict import DRIFTED, EQUIVALENT, IDENTICAL, Verdict
from core.domain.video import Video
from core.errors import StudioError
from pages.parts.downloads import downloads, video_url
from pages.parts.formatting import VERDICT_ICONS, fitting_width, plain, shorten, verdict_text, verdict_title
from pages.parts.shell import GENERATE, current_studio, only_looking
from pages.parts.toasts import tell, tell_failure

TALLEST = 440


def play(video: Video, url: str, tallest: int = TALLEST) -> None:
    """Draw the player: looping, muted, as wide as possible without being taller than `tallest` pixels."""
    with st.container(horizontal=True, horizontal_alignment="center"):
        st.video(url, loop=True, autoplay=True, muted=True, alt=shorten(video.title, 120),
                 width=fitting_width(video.result.width, video.result.height, tallest))


def show_video(video: Video, tallest: int = TALLEST) -> None:
    """Draw the player of a video of the library."""
    play(video, video_url(video.id), tallest)


def show_verdict(verdict: Verdict, num_frames: int) -> None:
    """Draw a verdict in words, with its likely causes."""
    show = {IDENTICAL: st.success, EQUIVALENT: st.info, DRIFTED: st.warning}[verdict.verdict]
    show(plain(verdict_text(verdict, num_frames)), icon=VERDICT_ICONS[verdict.verdict],
         title=verdict_title(verdict))


def actions(video: Video, place: str) -> None:
    """Draw the buttons to download, regenerate and remix. `place` makes the widget keys of one place unique."""
    with st.grid(2, min_column_width=150, key=f"actions_{place}"):
        if not video.recipe:
            downloads(video, place)
            return
        st.button("Regenerate with same seed", icon=":material/replay:", key=f"regenerate_{place}",
                  width="stretch", on_click=regenerate, args=(video.id,), disabled=only_looking(),
                  help="Runs the request again and compares every pixel.")
        if st.button("Change and generate again", icon=":material/edit:", key=f"remix_{place}", width="stretch",
                     disabled=only_looking()):
            st.switch_page(GENERATE, query_params={"from": video.id})
        downloads(video, place)


def regenerate(video_id: str) -> None:
    """Queue the same request again; called before the page is drawn."""
    try:
        current_studio().regenerate(video_id)
    except StudioError as error:
        tell_failure(error)
    else:
        tell("Regenerating with the same seed.", "replay")
