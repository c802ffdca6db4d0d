"""The head of an opened video: buttons for its neighbours, favourite and delete; and its tags.

Each key does the same as a button, except space (pages/parts/keys.py).
"""

from dataclasses import replace

import streamlit as st

from core.domain.video import Video
from core.errors import NotFound, StudioError
from core.library.lookup import TRASHED
from core.library.search.query import Place, Query
from core.library.tags import MAX_COUNT
from pages.parts.bulk_progress import deleted
from pages.parts.shell import current_studio, only_looking
from pages.parts.toasts import tell, tell_failure
from pages.parts.video_card import open_video, star


def head(video_id: str, query: Query, video: Video | None, fixed: bool = False) -> None:
    """Draw the head.

    Args:
        query: the search whose results are the neighbours.
        video: None if it cannot be read.
        fixed: whether the video cannot be changed.
    """
    studio = current_studio()
    place = studio.search(replace(query, page=1, page_size=1, around=video_id)).place or Place(0, 0)
    neighbour = place.next or place.previous
    with st.container(key=f"head_of_{video_id}"), \
            st.container(horizontal=True, vertical_alignment="center", key="head"):
        if place.number:
            _walk("Previous", "chevron_left", "Left", place.previous)
            _walk("Next", "chevron_right", "Right", place.next)
            st.caption(f"{place.number:,} of {place.total:,}", width="content")
        st.space("stretch")
        if video is not None:
            _favorite(video)
        undoable = video is not None and studio.settings.trash_days > 0
        st.button("Delete", icon=":material/delete:", key="delete", shortcut="Delete",
                  disabled=fixed or only_looking(), on_click=_remove if undoable else _ask,
                  args=(video_id, neighbour) if undoable else (video_id,))
    if st.session_state.get("delete_asked") == video_id:
        _confirm(video_id, neighbour)


def _walk(label: str, icon: str, shortcut: str, video_id: str | None) -> None:
    st.button(label, icon=f":material/{icon}:", key=label.lower(), shortcut=shortcut, disabled=video_id is None,
              on_click=_go, args=(video_id,), help=f"{label} of the videos that were found")


def _go(video_id: str) -> None:
    _ask("")
    open_video(video_id)


def _favorite(video: Video) -> None:
    st.button(f"{':orange[★]' if video.favorite else '☆'} Favourite", key="favorite", shortcut="F", on_click=star,
              args=(video.id, not video.favorite), disabled=only_looking(),
              help="Not a favourite any more" if video.favorite else "Mark as a favourite")


def _ask(video_id: str) -> None:
    st.session_state.delete_asked = video_id


def _confirm(video_id: str, neighbour: str | None) -> None:
    """Ask once before a deletion that cannot be undone."""
    with st.container(border=True, horizontal=True, vertical_alignment="center", key="confirm"):
        st.text("Delete this video, its recipe and its poster? This cannot be undone.", width="stretch")
        st.button("Keep it", key="keep", shortcut="Escape", on_click=_ask, args=("",))
        st.button("Delete permanently", type="primary", key="delete_for_good", on_click=_remove,
                  args=(video_id, neighbour))


def _remove(video_id: str, neighbour: str | None) -> None:
    """Delete the video, and open its neighbour."""
    try:
        trashed = _delete(video_id)
    except StudioError as error:
        tell_failure(error)
        return
    deleted((video_id,) if trashed else ())
    if not trashed:
        tell("The video is deleted.", "delete")
    if neighbour is None:
        close()
    else:
        _go(neighbour)


def _delete(video_id: str) -> bool:
    """Delete the video. Returns whether it is in the trash now; a video that is already there counts too."""
    try:
        return current_studio().delete(video_id)
    except NotFound:
        if current_studio().look_up(video_id).state != TRASHED:
            raise
        return True


def close() -> None:
    """Return to the results."""
    _ask("")
    st.query_params.pop("video", None)


def tags_field(video: Video) -> None:
    """Draw the tags of the video, to add and to remove. The field always shows the tags of the sidecar."""
    key = f"tags_{video.id}"
    st.session_state[key] = list(video.tags)
    st.multiselect("Tags", sorted({*current_studio().facets().tags, *video.tags}), key=key, accept_new_options=True,
                   max_selections=MAX_COUNT, select_all=False, placeholder="Add a tag", wrap=True,
                   on_change=_keep_tags, args=(video.id, key), disabled=only_looking())


def _keep_tags(video_id: str, key: str) -> None:
    try:
        current_studio().change(video_id, tags=tuple(st.session_state[key]))
    except StudioError as error:
        tell_failure(error)
