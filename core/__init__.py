"""The studio without its screens: nothing below this package imports streamlit."""

__version__ = "0.2.0"
