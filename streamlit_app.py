"""The entry point. As a script of Streamlit it shows the screens; imported, it is the ASGI app that serves them."""

import streamlit as st

if __name__ == "__main__":
    from pages.parts.shell import navigate

    navigate()
else:
    from core.web.media import routes
    from pages.parts.shell import current_studio, lifespan, show_crash

    app = st.App(__file__, routes=routes(current_studio), lifespan=lifespan, on_script_error=show_crash)
