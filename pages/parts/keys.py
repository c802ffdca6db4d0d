"""The keys of an opened video, and the link back from it (pages/parts/keys.js).

Most keys are also the `shortcut` of a button, which shows the key. Two keys cannot be: R, because Streamlit uses it
to run the page again; and space, because no button does the same. While a text field has focus, shortcuts are off.
A control that was reached by the keyboard still reacts to the space bar.

A shortcut does not work before its button is drawn. A page opened by its address is sent in a tenth of a second. But
each kind of element loads a separate script in the browser, which takes seconds on a busy machine. So the first
element of the page listens, stores the last key, and presses the button when it is there. The same applies while
switching videos: the old buttons no longer count, and every arrow key is one step.

The same script makes the gallery link in Streamlit's bar return from an opened video, like the button in its head.
Without it, Streamlit would use the address of the current page and show the same video again.
"""

from pathlib import Path

import streamlit as st

_SCRIPT = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")


def listen() -> None:
    """Start to listen, at the beginning of the page. The script is the file beside this one, unchanged."""
    with st.container(key="listener"):
        st.html(f"<script>{_SCRIPT}</script>", unsafe_allow_javascript=True)


def opened_keys(again: bool, changed: bool = True) -> None:
    """Show the keys that no button shows.

    Args:
        again: whether the video can be made again. changed: whether it can be deleted.
    """
    with st.container(key="keys", gap=None):
        st.caption(f"Space plays and pauses{' · Del deletes' if changed else ''}"
                   f"{' · R regenerates with the same seed' if again else ''}")
