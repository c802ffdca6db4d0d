"""Generate: a prompt becomes a video, and the person watches its progress."""

import streamlit as st

from pages.parts.request_form import request_form
from pages.parts.result_panel import stage
from pages.parts.scroll_to_result import bring_stage
from pages.parts.shell import guard, top_row
from pages.parts.shown_errors import shown_errors

guard()

with shown_errors():
    top_row("Generate")
    with st.container(key="workbench"):
        form_side, video_side = st.columns([5, 6], gap="large")
        with form_side, shown_errors():
            request_form()
        with video_side, st.container(key="stage"), shown_errors():
            stage()
            bring_stage()
