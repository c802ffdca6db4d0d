"""HTTP beside the screens: media with Range from disk, and readiness. Starlette only, no streamlit."""
