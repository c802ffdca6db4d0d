"""An opened video with missing or damaged files: the problem, and the ways to repair it."""

import streamlit as st

from core.errors import StudioError
from core.library.incoming import HEALED, HERE, ImportResult
from core.library.lookup import Lookup
from core.library.storage.video_files import SIDECAR
from pages.parts.drop_import import LIMIT_MB
from pages.parts.formatting import plain
from pages.parts.shell import current_studio, only_looking
from pages.parts.shown_errors import show_error
from pages.parts.toasts import tell


def damaged_video(found: Lookup) -> None:
    """Show the problem and the result of a check of every byte, and offer repairs. Delete is in the head."""
    if found.error is not None:
        show_error(found.error)
    if found.entry is not None:
        st.code(found.entry.prompt, language=None, wrap_lines=True)
    findings = current_studio().verify((found.id,))
    for finding in findings:
        st.caption(f":material/troubleshoot: {plain(finding.problem)}")
    torn = found.has_sidecar and any(finding.path.suffix == SIDECAR for finding in findings)
    if torn and st.button("Make the settings again from its MP4", icon=":material/healing:", key="renew",
                          type="primary", disabled=only_looking(),
                          help="Tags and favourite come back, too; a verdict is lost."):
        _renew(found.id)
    _good_copy(found.id)
    with st.container(horizontal=True):
        if st.button("Look through all files", icon=":material/manage_search:", key="mend",
                     disabled=only_looking(),
                     help="Reads every sidecar, makes the index again, and makes a missing sidecar again from "
                          "inside its MP4."):
            _mend()
        if found.has_sidecar:
            st.link_button("Its settings", f"/app/static/video/{found.id}.json?download=1",
                           icon=":material/data_object:", help="The sidecar as it is")


def _good_copy(video_id: str) -> None:
    """Draw the upload of a good copy of the MP4."""
    file = st.file_uploader(f"Bring in a good copy of its MP4, at most {LIMIT_MB} MB", type="mp4",
                            help="It comes back with its tags.", key=f"copy_{video_id}", max_upload_size=LIMIT_MB,
                            disabled=only_looking())
    if file is None or st.session_state.get("copy_tried") == file.file_id:
        return
    st.session_state.copy_tried = file.file_id
    try:
        result = current_studio().transfer.import_bytes(file.getbuffer(), file.name)
    except StudioError as error:
        show_error(error)
        return
    _imported(result, video_id, file.name)


def _imported(result: ImportResult, video_id: str, name: str) -> None:
    """Show the result of the file with that name: it repaired the open video, or it is another video."""
    if result.video.id == video_id:
        tell("The video is repaired.", "healing")
        st.rerun()
    done = {HERE: "It is in the library already.", HEALED: "That one is repaired."}
    st.warning(f"{plain(name)} is another video. {done.get(result.outcome, 'It was added to the library.')}",
               icon=":material/help:")


def _renew(video_id: str) -> None:
    try:
        result = current_studio().transfer.renew_settings(video_id)
    except StudioError as error:
        show_error(error)
        return
    _imported(result, video_id, f"{video_id}.mp4")


def _mend() -> None:
    try:
        current_studio().reindex()
    except StudioError as error:
        show_error(error)
        return
    tell("All files were checked.", "healing")
    st.rerun()
