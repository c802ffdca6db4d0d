"""Short messages after a press of a button.

A callback only notes a message, because Streamlit does not support drawing in the callback of a fragment. The next
drawing shows it: a page in `guard`, and a fragment unless it redraws the complete page.
"""

import streamlit as st

from core.errors import StudioError
from pages.parts.formatting import failure, plain


def tell(sentence: str, icon: str) -> None:
    """Note a sentence, Markdown, with the name of a Material icon."""
    _note(sentence, icon, "short")


def tell_failure(error: StudioError, icon: str = "error") -> None:
    """Note a failure; its message stays longer than others."""
    _note(plain(failure(error)), icon, "long")


def _note(*message: str) -> None:
    st.session_state.setdefault("told", []).append(message)


def say_in_passing() -> None:
    """Show the noted messages."""
    for sentence, icon, duration in st.session_state.pop("told", ()):
        st.toast(sentence, icon=f":material/{icon}:", duration=duration)
