"""The frame of every screen: the one studio, navigation and the model's state.

Each page, part and callback calls `current_studio()` when it needs the studio; no argument passes it on. So none of
them holds a closed studio, and one place knows the viewer of the page.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import streamlit as st

from core.errors import StudioError
from core.jobs.protocol import WorkerStatus
from core.jobs.queue.job import ACTIVE, QUEUED
from core.settings import Settings
from core.studio import Studio
from pages.parts.formatting import Colour, plain, size
from pages.parts.polling import poll_while
from pages.parts.streamlit_private import turn_off_page_discovery
from pages.parts.toasts import say_in_passing

TITLE = "Text-to-Video Studio"
GENERATE, GALLERY, QUEUE, TRASH = "pages/generate.py", "pages/gallery.py", "pages/queue.py", "pages/trash.py"

_ICON = """<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32" viewBox="0 0 32 32">
<rect x="2" y="2" width="28" height="28" rx="8" fill="#0e7490"/><path d="M12 9v14l11-7z" fill="#fff"/></svg>"""
_LOGO = """<svg xmlns="http://www.w3.org/2000/svg" width="252" height="32" viewBox="0 0 252 32">
<rect x="1" y="4" width="24" height="24" rx="6" fill="#0e7490"/><path d="M10 11v10l9-5z" fill="#fff"/>
<text x="34" y="22" font-family="system-ui,'Segoe UI',Roboto,'DejaVu Sans',sans-serif" font-size="17"
font-weight="600" fill="{ink}">Text-to-Video Studio</text></svg>"""

_STYLE = f"<style>{(Path(__file__).parent / 'studio.css').read_text(encoding='utf-8')}</style>"


@st.cache_resource(show_spinner=False, on_release=lambda studio: studio.close())
def current_studio() -> Studio:
    """The studio of this process. Every page, every person and the HTTP routes share it."""
    settings = Settings.from_env()
    return Studio(settings, role="run" if settings.dispatch else "visit")


@asynccontextmanager
async def lifespan(_app: object) -> AsyncIterator[None]:
    """Open the studio before the first request. Close it (worker, index, lock) when the server stops."""
    turn_off_page_discovery()
    try:
        await asyncio.to_thread(current_studio)
    except StudioError as error:  # every page will show the same sentence
        logging.getLogger("studio").critical("The studio cannot be opened. %s", error)
    try:
        yield
    finally:
        await asyncio.to_thread(current_studio.clear)


def show_crash(error: Exception) -> bool:
    """Show a short message that a page broke; the details go to the log."""
    logging.getLogger("studio").error("A page broke.", exc_info=error)
    st.error("This page could not be drawn. The server log has the reason. Your videos and jobs are safe.",
             icon=":material/error:")
    return True


def navigate() -> None:
    """Run the entry script: define the screens, and draw the one of the address."""
    st.set_page_config(page_title=TITLE, page_icon=_ICON, layout="wide")
    waiting = 0
    with suppress(StudioError):  # the page itself shows the error
        waiting = current_studio().unfinished()
    pages = [
        st.Page(GENERATE, title="Generate", icon=":material/auto_awesome:", default=True,
                help="Describe a video and watch it being made."),
        st.Page(GALLERY, title="Gallery", icon=":material/video_library:",
                help="Every stored video: find, play, make again."),
        st.Page(QUEUE, title=f"Queue ({waiting})" if waiting else "Queue", icon=":material/list_alt:",
                url_path="queue", help="The running, waiting and ended jobs."),
        st.Page(TRASH, title="Trash", icon=":material/delete:", url_path="trash", visibility="hidden"),
    ]
    shown = st.navigation(pages, position="top")
    with st.container(horizontal=True, gap="xsmall", key="places"):  # on a narrow screen, see studio.css
        for page in pages[:3]:
            st.page_link(page, icon="", help="")
    shown.run()


def guard() -> None:
    """The first statement of every page: the logo, the styles and the toasts, even without the entry script."""
    dark = st.context.theme.type == "dark"
    st.logo(_LOGO.format(ink="#e6edf3" if dark else "#17232b"), size="large")
    st.html(_STYLE)
    say_in_passing()


def style(rules: str) -> None:
    """Add CSS rules to this page. They never contain text that a person wrote."""
    st.html(f"<style>{rules}</style>")


def only_looking() -> bool:
    """Whether nothing can be made or changed here. The banner of `top_row` then tells it, and buttons are disabled."""
    return bool(current_studio().newer)


def top_row(title: str, back: Callable[[], None] | None = None) -> None:
    """Draw the head of a page: its title or a back button, and the state of the model at the right."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if back is None:
            st.subheader(title, anchor=False, width="content")
        else:
            st.button(title, icon=":material/arrow_back:", key="back", on_click=back)
        st.space("stretch")
        with st.container(width="content"):
            _model_badge()
    studio = current_studio()
    if studio.newer:
        st.error(plain(studio.newer), icon=":material/lock:")
        return
    for problem in studio.ready()["problems"]:
        if problem != "the worker is starting":
            st.warning(f"Videos cannot be made now: {plain(problem.rstrip('.'))}.", icon=":material/warning:")


def _model_badge() -> None:
    busy = bool(current_studio().jobs((*ACTIVE, QUEUED), limit=1))
    poll_while(lambda: current_studio().worker(), _badge, lambda status: not busy and _unsettled(status), also=busy,
               every=1.0)


def _badge(status: WorkerStatus | None) -> None:
    label, icon, color = _model_state(status)
    st.badge(label, icon=icon, color=color)


def _unsettled(status: WorkerStatus | None) -> bool:
    return status is not None and status.state in ("starting", "loading")


def _model_state(status: WorkerStatus | None) -> tuple[str, str | None, Colour]:
    """The label, icon and colour of the model's state."""
    studio = current_studio()
    if status is None:
        if studio.leads and studio.settings.dispatch:
            return "The model starts", ":material/hourglass_top:", "gray"
        if studio.ready()["run"]:
            return "Another process runs the model", ":material/cloud:", "gray"
        return "No model runs", ":material/cloud_off:", "gray"
    place = device_word(status)
    spec = studio.models().get(status.model)
    name = plain(spec.title if spec else status.model)
    if status.state == "loading" or (status.progress and status.progress.phase in ("downloading", "loading")
                                     and status.state == "busy"):
        if status.progress and status.progress.phase == "downloading":
            return (f"Downloading {size(status.progress.done)} of {size(status.progress.total)}",
                    ":material/download:", "blue")
        return "Loading the model", ":material/hourglass_top:", "blue"
    if status.state == "starting":
        return "The model starts", ":material/hourglass_top:", "gray"
    if status.state == "busy":
        return f"● {name} at work · {place}", None, "blue"
    if status.model:
        return f"● {name} ready · {place}", None, "green"
    return f"○ No model loaded · {place}", None, "gray"


def device_word(status: WorkerStatus) -> str:
    """`CPU`, or the GPU's name, as text for Markdown."""
    return "CPU" if status.device == "cpu" or not status.device_name else plain(status.device_name)
