"""What is said in passing once something was pressed.

A callback only notes it, since Streamlit does not support drawing in the callback of a fragment. It is said when
the page is drawn next: a whole page says it in `guard`, a fragment once it does not ask for the whole page.
"""

import streamlit as st

from core.errors import StudioError
from pages.parts.formatting import failure, plain


def tell(sentence: str, icon: str) -> None:
    """Note a sentence, Markdown, with the name of a Material icon."""
    _note(sentence, icon, "short")


def tell_failure(error: StudioError, icon: str = "error") -> None:
    """Note what speaks against what was asked for; it stays in sight a while longer."""
    _note(plain(failure(error)), icon, "long")


def _note(*said: str) -> None:
    st.session_state.setdefault("told", []).append(said)


def say_in_passing() -> None:
    """Say what was noted."""
    for sentence, icon, duration in st.session_state.pop("told", ()):
        st.toast(sentence, icon=f":material/{icon}:", duration=duration)
