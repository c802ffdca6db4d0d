"""The keys of an opened video, and the link back from it (pages/parts/keys.js).

Most are the `shortcut` of their button as well, which names them there. Two cannot be: R, which Streamlit refuses
because it takes that key itself, to run the page again; and space, which no button stands for. In a field all keys
are the field's, and a control that was reached by the keyboard keeps its space bar.

And none of them is heard before its button is drawn. A page opened by its address is sent in a tenth of a second,
but each kind of element loads a script of its own in the browser, on a busy machine for seconds. So the first
thing on the page listens, keeps the last key that was struck, and presses the button once it is there. So it is
while one video is left for the next: the buttons of the one that is left mean nothing any more, and every arrow
that is struck then is one step.

The same script makes the link of the gallery, in Streamlit's own bar, lead back from an opened video as the button
at its head does: Streamlit keeps the address of the page one is on, and would show the same video again.
"""

from pathlib import Path

import streamlit as st

_SCRIPT = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")


def listen() -> None:
    """Listen, from the beginning of the page. The script is this file's neighbour; nothing is put into it."""
    with st.container(key="listener"):
        st.html(f"<script>{_SCRIPT}</script>", unsafe_allow_javascript=True)


def opened_keys(again: bool, changed: bool = True) -> None:
    """Say which keys there are besides those that stand on their buttons.

    Args:
        again: the video can be made again. changed: it can be deleted.
    """
    with st.container(key="keys", gap=None):
        st.caption(f"Space plays and pauses{' · Del deletes' if changed else ''}"
                   f"{' · R regenerates with the same seed' if again else ''}")
