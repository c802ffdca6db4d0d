"""The downloads of a video: its MP4, its sidecar, and other formats."""

import streamlit as st

from core.domain.video import Video
from core.errors import StudioError
from core.library.media.export_formats import EXPORT_FORMATS
from pages.parts.shell import current_studio
from pages.parts.shown_errors import show_error

QUICK_PIXELS = 10_000_000  # of all frames; up to this many, an export is ready about as fast as a download begins
_ICONS = {"gif": ":material/gif_box:", "webm": ":material/movie:", "png": ":material/photo_library:"}
_SAID = {"gif": "Loops everywhere, 256 colours", "webm": "VP9, for web pages",
         "png": "One picture a frame in a ZIP, no further loss"}


def video_url(video_id: str) -> str:
    """The address of the MP4."""
    return f"/app/static/video/{video_id}.mp4"


def download_files(video_id: str) -> None:
    """Draw links to the unchanged MP4 and sidecar."""
    _mp4(video_id)
    _json(video_id)


def _mp4(video_id: str) -> None:
    st.link_button("Download MP4", f"{video_url(video_id)}?download=1", icon=":material/download:",
                   width="stretch")


def _json(video_id: str) -> None:
    st.link_button("JSON", f"/app/static/video/{video_id}.json?download=1", icon=":material/data_object:",
                   width="stretch", help="The sidecar: all stored facts about the video")


def downloads(video: Video, place: str) -> None:
    """Draw a link to the MP4 and a menu with the rest. `place` makes the widget keys of one place unique."""
    _mp4(video.id)
    with st.popover("Download as", icon=":material/file_export:", width="stretch", key=f"download_as_{place}"):
        for kind in EXPORT_FORMATS:
            _rendition(video, kind, place)
        _json(video.id)


@st.fragment
def _rendition(video: Video, kind: str, place: str) -> None:
    """Draw a link that makes the export when it is opened. A large export is made first, with a progress bar."""
    title, studio = EXPORT_FORMATS[kind].title, current_studio()
    pixels = video.result.num_frames * video.result.width * video.result.height
    slot = st.empty()
    if pixels > QUICK_PIXELS and not studio.transfer.has_rendition(video, kind):
        if not slot.button(f"Make {title}", icon=_ICONS[kind], key=f"make_{kind}_{place}", width="stretch",
                           help=f"{_SAID[kind]}. This takes a moment."):
            return
        with slot.container():
            bar = st.progress(0.0, f"{title}: the first frame")
            st.button("Stop", key=f"stop_{kind}_{place}")  # a press ends this run; the unfinished export is removed

        def tell(done: int, total: int) -> None:
            bar.progress(done / total, f"{title}: frame {done} of {total}")

        try:
            studio.transfer.rendition(video.id, kind, tell)
        except StudioError as error:
            show_error(error)
            return
    slot.link_button(title, f"/app/static/export/{kind}/{video.id}?download=1", icon=_ICONS[kind],
                     width="stretch", help=_SAID[kind])
