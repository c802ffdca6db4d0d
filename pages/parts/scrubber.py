"""The player of a comparison: A, B and their difference moved by one scrubber, with a plot of what was measured.

Streamlit has no element for it, so this is a component of its own. It draws from one clip that holds all of them,
so they cannot fall apart. Texts are put into it as text.
"""

from pathlib import Path

import streamlit as st

from core.library.comparison import Comparison

_BESIDE = Path(__file__).with_suffix("")
_COMPONENT = st.components.v2.component(
    "scrubber", html=_BESIDE.with_suffix(".html").read_text(encoding="utf-8"),
    css=_BESIDE.with_suffix(".css").read_text(encoding="utf-8"),
    js=_BESIDE.with_suffix(".js").read_text(encoding="utf-8"))


def scrubber(comparison: Comparison, said: dict[str, tuple[str, str]]) -> None:
    """Draw the player.

    Args:
        said: for each panel's name a title and what stands beside it.
    """
    panels = [{**vars(panel), "title": said[panel.name][0], "detail": said[panel.name][1]}
              for panel in comparison.panels]
    _COMPONENT(key="scrubber", data={
        "source": clip_url(comparison), "fps": comparison.fps, "num_frames": comparison.num_frames,
        "panels": panels, "psnr_db": comparison.psnr_db, "ssim": comparison.ssim})


def clip_url(comparison: Comparison) -> str:
    """Where the clip is served; another address when one of the files is another."""
    version = f"{comparison.a_sha256[:8]}{comparison.b_sha256[:8]}"
    return f"/app/static/comparison/{comparison.a}_{comparison.b}.mp4?v={version}"
