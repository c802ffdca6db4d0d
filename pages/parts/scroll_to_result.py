"""On a narrow screen, where the result is above the form, scroll to the result after submitting."""

import json

import streamlit as st

_ACCEPTED = "accepted"
_SCRIPT = """<script>/* {job} */
if (matchMedia("(max-width: 640px)").matches) document.querySelector(".st-key-stage")?.scrollIntoView(
  {{behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth"}});
</script>"""


def accepted(job_id: str) -> None:
    """Remember, before the page is drawn again, that this job was submitted here."""
    st.session_state[_ACCEPTED] = job_id


def bring_stage() -> None:
    """Scroll to the result once, if a job was submitted."""
    job_id = st.session_state.pop(_ACCEPTED, "")
    if job_id:
        with st.container(key="listener"):  # this key takes no room on the page; it holds only a script
            st.html(_SCRIPT.format(job=json.dumps(job_id)), unsafe_allow_javascript=True)
