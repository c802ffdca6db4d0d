"""Files dropped into the gallery: each is imported, or refused with a reason."""

from dataclasses import dataclass
from typing import Any

import streamlit as st

from core.errors import Foreign, StudioError
from core.library.incoming import ADDED, HEALED, HERE
from pages.parts.formatting import plain, shorten
from pages.parts.shell import current_studio, only_looking
from pages.parts.video_card import open_video

LIMIT_MB = 100
_SAID = {
    ADDED: (":material/check_circle:", "Added"),
    HERE: (":material/library_add_check:", "Already here"),
    HEALED: (":material/healing:", "Its file was missing or damaged and is repaired"),
}


@dataclass(frozen=True)
class Brought:
    """The result for a dropped file: the id of its video, or the refusal, and whether it can be stored anyway."""

    name: str
    outcome: str = ""
    id: str = ""
    title: str = ""
    reason: str = ""
    foreign: bool = False


def bring_in() -> None:
    """Draw the place to drop files, and the result of each file."""
    st.caption(f"MP4 files of this studio or another one, each at most {LIMIT_MB} MB. The settings are read from "
               "inside the file and checked against its frames.")
    files = st.file_uploader("Drop MP4 files here", type="mp4", accept_multiple_files=True, key="dropped",
                             max_upload_size=LIMIT_MB, label_visibility="collapsed", disabled=only_looking())
    brought: dict[str, Brought] = st.session_state.setdefault("brought", {})
    waiting = [file for file in files if file.file_id not in brought]
    if waiting:
        bar = st.progress(0.0)
        for number, file in enumerate(waiting):
            text = f"{number + 1} of {len(waiting)}: {plain(shorten(file.name, 60))}"
            bar.progress(number / len(waiting), text)
            brought[file.file_id] = _take(file)
        bar.empty()
    for file in files:
        _row(file.file_id, brought[file.file_id])


def _take(file: Any) -> Brought:
    unknown = file.file_id in st.session_state.get("keep_unknown", ())
    try:
        result = current_studio().transfer.import_bytes(file.getbuffer(), file.name, unknown)
    except StudioError as error:
        return Brought(file.name, reason=str(error), foreign=isinstance(error, Foreign) and not unknown)
    return Brought(file.name, result.outcome, result.video.id, result.video.title)


def _row(file_id: str, found: Brought) -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center", key=f"brought_{file_id}"):
        with st.container(width="stretch", gap=None):
            st.text(shorten(found.name, 60))
            if found.outcome:
                icon, words = _SAID[found.outcome]
                st.caption(f"{icon} {words}: {plain(shorten(found.title, 80))}")
            else:
                st.caption(f":orange[:material/block:] Refused: {plain(found.reason)}")
        if found.outcome:
            if st.button("Open", key=f"open_brought_{file_id}"):
                close()
                open_video(found.id)
                st.rerun()
        elif found.foreign:
            st.button("Keep without recipe", key=f"keep_{file_id}", on_click=_keep_anyway, args=(file_id,),
                      help="The file is stored as it is. Its settings are unknown, so it cannot be generated again.")


def close() -> None:
    """Empty the place when the dialog closes."""
    for name in ("transferring", "brought", "keep_unknown"):
        st.session_state.pop(name, None)


def _keep_anyway(file_id: str) -> None:
    st.session_state.setdefault("keep_unknown", set()).add(file_id)
    st.session_state.brought.pop(file_id, None)
