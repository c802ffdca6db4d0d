"""Where the stage stands above the form, on a narrow screen, whoever asks for a video is led up to it."""

import json

import streamlit as st

_ACCEPTED = "accepted"
_SCRIPT = """<script>/* {job} */
if (matchMedia("(max-width: 640px)").matches) document.querySelector(".st-key-stage")?.scrollIntoView(
  {{behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth"}});
</script>"""


def accepted(job_id: str) -> None:
    """Say, before the page is drawn again, that this job was asked for here."""
    st.session_state[_ACCEPTED] = job_id


def bring_stage() -> None:
    """Bring the stage into sight, once, if something was asked for."""
    job_id = st.session_state.pop(_ACCEPTED, "")
    if job_id:
        with st.container(key="listener"):  # what is only a script takes no room
            st.html(_SCRIPT.format(job=json.dumps(job_id)), unsafe_allow_javascript=True)
