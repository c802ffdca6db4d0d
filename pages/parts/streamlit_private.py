"""The one touch of Streamlit's private parts, kept here and tested.

With a folder named `pages` beside the entry script, Streamlit 1.67 runs `pages/x.py` directly on a cold
deep link, without the entry script, until some session has called `st.navigation`. Turning the discovery
off makes the entry script run always.
"""

from streamlit.runtime.pages_manager import PagesManager


def turn_off_page_discovery() -> None:
    """Make Streamlit ignore the `pages` folder; `st.navigation` alone decides what there is."""
    PagesManager.uses_pages_directory = False
