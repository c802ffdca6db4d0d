"""What can be said of an opened video and changed: favourite and tags, kept in its sidecar."""

import streamlit as st

from core.errors import StudioError
from core.library.tags import MAX_COUNT
from core.studio import Studio
from core.video import Video
from pages.parts.shell import studio
from pages.parts.video_card import star
from pages.parts.words import plain


def favorite_button(video: Video) -> None:
    """Mark the video as a favourite, or no more."""
    st.button(f"{':orange[★]' if video.favorite else '☆'} Favourite", key="favorite", on_click=star,
              args=(video.id, not video.favorite),
              help="Not a favourite any more" if video.favorite else "Mark as a favourite")


def tags_field(opened: Studio, video: Video) -> None:
    """The tags of the video, to add to and to take from. What stands there is what the sidecar says."""
    key = f"tags_{video.id}"
    st.session_state[key] = list(video.tags)
    st.multiselect("Tags", sorted({*opened.facets().tags, *video.tags}), key=key, accept_new_options=True,
                   max_selections=MAX_COUNT, select_all=False, placeholder="Add a tag", wrap=True,
                   on_change=_keep_tags, args=(video.id, key))


def _keep_tags(video_id: str, key: str) -> None:
    try:
        studio().change(video_id, tags=tuple(st.session_state[key]))
    except StudioError as error:
        st.toast(plain(str(error)), icon=":material/error:", duration="long")
