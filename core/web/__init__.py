"""HTTP routes beside the screens: media from the disk with Range, and readiness. Starlette only, no streamlit."""
