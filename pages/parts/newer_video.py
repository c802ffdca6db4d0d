"""An opened video of a newer studio: it can be played and downloaded, and nothing else."""

import streamlit as st

from core.library.lookup import Lookup
from pages.parts.downloads import download_files
from pages.parts.formatting import plain
from pages.parts.keys import opened_keys
from pages.parts.player import show_video
from pages.parts.recipe_table import recipe
from pages.parts.video_card import NEWER


def newer_video(found: Lookup) -> None:
    """Play the video, or show why it cannot be opened."""
    video = found.video
    if video is None:
        st.error(plain(str(found.error)), icon=":material/lock:")
        return
    with st.container(key="opened"):
        picture, facts = st.columns([6, 5], gap="large")
    with picture:
        with st.container(key="film"):
            show_video(video, 600)
        opened_keys(again=False, changed=False)
        with st.grid(2, min_column_width=150, key="actions_newer"):
            download_files(video.id)
    with facts:
        with st.container(key="said"):
            st.info(NEWER, icon=":material/lock:")
            st.code(video.title, language=None, wrap_lines=True)
        if video.tags:
            st.markdown(" ".join(f":gray-badge[{plain(tag)}]" for tag in video.tags))
        recipe(video)
