"""The edge where errors end: a failure of the studio becomes its sentence on the page."""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from core.errors import StudioError
from pages.parts.formatting import failure, plain


@contextmanager
def shown_errors() -> Iterator[None]:
    """Show an error that is raised inside, in its place."""
    try:
        yield
    except StudioError as error:
        show_error(error)


def show_error(error: StudioError) -> None:
    """Draw the sentence of a failure."""
    st.error(plain(failure(error)), icon=":material/error:")
