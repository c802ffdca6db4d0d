"""The player of a comparison: one scrubber moves A, B and their difference, with a plot of the measured values.

Streamlit has no such element, so this is a separate component. It draws all three from one clip, so they always show
the same frame. Texts are inserted as text, never as HTML.
"""

from pathlib import Path

import streamlit as st

from core.library.comparison import Comparison

_BESIDE = Path(__file__).with_suffix("")
_COMPONENT = st.components.v2.component(
    "scrubber", html=_BESIDE.with_suffix(".html").read_text(encoding="utf-8"),
    css=_BESIDE.with_suffix(".css").read_text(encoding="utf-8"),
    js=_BESIDE.with_suffix(".js").read_text(encoding="utf-8"))


def scrubber(comparison: Comparison, labels: dict[str, tuple[str, str]]) -> None:
    """Draw the player.

    Args:
        labels: for each panel's name, a title and a detail beside it.
    """
    panels = [{**vars(panel), "title": labels[panel.name][0], "detail": labels[panel.name][1]}
              for panel in comparison.panels]
    _COMPONENT(key="scrubber", data={
        "source": clip_url(comparison), "fps": comparison.fps, "num_frames": comparison.num_frames,
        "panels": panels, "psnr_db": comparison.psnr_db, "ssim": comparison.ssim})


def clip_url(comparison: Comparison) -> str:
    """The address of the clip. It changes when one of the files changes."""
    version = f"{comparison.a_sha256[:8]}{comparison.b_sha256[:8]}"
    return f"/app/static/comparison/{comparison.a}_{comparison.b}.mp4?v={version}"
