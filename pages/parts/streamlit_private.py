"""The only use of Streamlit's private parts; a test covers it.

If a folder named `pages` is beside the entry script, Streamlit 1.67 runs `pages/x.py` directly on a cold deep link,
without the entry script. It does so until some session has called `st.navigation`. With the discovery switched off,
the entry script always runs.
"""

from streamlit.runtime.pages_manager import PagesManager


def turn_off_page_discovery() -> None:
    """Make Streamlit ignore the `pages` folder. Then only `st.navigation` defines the pages."""
    PagesManager.uses_pages_directory = False
