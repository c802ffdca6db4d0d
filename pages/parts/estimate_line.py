"""The time and memory that a request will take on this machine, shown before it is sent."""

import streamlit as st

from core.domain.request import VideoRequest
from core.planning.estimate import Estimate
from pages.parts.formatting import roughly
from pages.parts.shell import current_studio


def estimate_line(request: VideoRequest) -> None:
    """Draw a caption beside the button: time and memory, or nothing if the settings are not accepted."""
    estimate = current_studio().planner.estimate(request)
    if estimate is not None:
        st.caption(estimate_words(estimate), width="content")


def estimate_words(estimate: Estimate) -> str:
    """`about 13 s on this machine, 0.6 GB`; without a run of this model it is called a first guess."""
    memory = f"{estimate.memory_bytes / 1e9:.1f} GB"
    if estimate.seconds is None:
        return f"{memory}; the time is known after the first video"
    if not estimate.runs:
        return f"at a first guess {roughly(estimate.seconds)} on this machine, {memory}"
    loading = f", {roughly(estimate.load_s)} of it to load the model" if estimate.load_s else ""
    return f"about {roughly(estimate.seconds)} on this machine{loading}, {memory}"
