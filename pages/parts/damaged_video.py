"""A video whose files are missing or damaged, opened: what is wrong with it, and what can be done about it."""

import streamlit as st

from core.errors import StudioError
from core.library.arrival import HEALED, HERE
from core.studio import Studio
from pages.parts.bring_in import LIMIT_MB
from pages.parts.passing import tell
from pages.parts.shell import only_looking, show_error
from pages.parts.words import plain


def damaged_video(opened: Studio, video_id: str, error: StudioError) -> None:
    """Say what `error` says, what a look at every byte finds, and offer what mends it. Delete is in the head."""
    show_error(error)
    known = opened.library.known(video_id)
    if known is not None:
        st.code(known.prompt, language=None, wrap_lines=True)
    for finding in opened.verify((video_id,)):
        st.caption(f":material/troubleshoot: {plain(finding.problem)}")
    _good_copy(opened, video_id)
    with st.container(horizontal=True):
        if st.button("Look through all files", icon=":material/manage_search:", key="mend",
                     disabled=only_looking(),
                     help="Reads every sidecar, makes the index again, and makes a missing sidecar again from "
                          "inside its MP4."):
            _mend(opened)
        if opened.library.has_sidecar(video_id):
            st.link_button("Its settings", f"/app/static/video/{video_id}.json?download=1",
                           icon=":material/data_object:", help="The sidecar as it is")


def _good_copy(opened: Studio, video_id: str) -> None:
    """A copy of the MP4, wherever the person still has one."""
    file = st.file_uploader(f"Bring in a good copy of its MP4, at most {LIMIT_MB} MB", type="mp4",
                            help="It comes back with its tags.", key=f"copy_{video_id}", max_upload_size=LIMIT_MB,
                            disabled=only_looking())
    if file is None or st.session_state.get("copy_tried") == file.file_id:
        return
    st.session_state.copy_tried = file.file_id
    try:
        kept = opened.transfer.import_bytes(file.getbuffer(), file.name)
    except StudioError as error:
        show_error(error)
        return
    if kept.video.id == video_id:
        tell("The video is whole again.", "healing")
        st.rerun()
    done = {HERE: "It is in the library already.", HEALED: "That one is whole again."}
    st.warning(f"{plain(file.name)} is another video. {done.get(kept.outcome, 'It was added to the library.')}",
               icon=":material/help:")


def _mend(opened: Studio) -> None:
    try:
        opened.reindex()
    except StudioError as error:
        show_error(error)
        return
    tell("Every file was looked at.", "healing")
    st.rerun()
