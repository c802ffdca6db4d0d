"""Import and export: the dialog of the gallery in which videos come in and go out.

Whether it is open is kept with the session: what is being made redraws the whole page, and would close it.
"""

import streamlit as st

from pages.parts.bring_in import bring_in, close
from pages.parts.shell import studio


def transfer_button(key: str) -> None:
    """The way to the dialog."""
    st.button("Import and export", icon=":material/swap_vert:", key=key, on_click=st.session_state.update,
              kwargs={"transferring": True})


def transfer() -> None:
    """The dialog, while it is open."""
    if st.session_state.get("transferring"):
        _dialog()


@st.dialog("Import and export", width="large", icon=":material/swap_vert:", on_dismiss=close)
def _dialog() -> None:
    bring_in(studio())
