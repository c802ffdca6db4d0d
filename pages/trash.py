"""Trash: the deleted videos, the date of their permanent removal, and the used disk space."""

from datetime import datetime, timedelta

import streamlit as st

from core.errors import StudioError
from core.library.storage.trash import Trashed
from pages.parts.bulk_progress import begun, done_row
from pages.parts.filters import page_number
from pages.parts.formatting import age, shorten, size, some
from pages.parts.shell import GALLERY, current_studio, guard, only_looking, top_row
from pages.parts.shown_errors import shown_errors
from pages.parts.toasts import tell_failure

guard()


def trash() -> None:
    """The videos of the trash as cards."""
    studio = current_studio()
    page = studio.bulk_actions.trash()
    if not page.total:
        with st.container(border=True, horizontal_alignment="center"):
            st.text("The trash is empty." if studio.settings.trash_days else
                    "The trash is off (T2V_TRASH_DAYS is 0): a deleted video cannot be restored.", width="content")
        return
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(f"{some(page.total, 'video')} · {size(page.bytes)}. Each is removed "
                   f"permanently {some(studio.settings.trash_days, 'day')} after it was deleted.", width="content")
        with st.popover("Empty the trash", icon=":material/delete_forever:", key="empty_asked",
                        disabled=only_looking()):
            st.text(f"Delete {some(page.total, 'video')} permanently? This cannot be undone.")
            st.button("Delete permanently", type="primary", key="empty", on_click=_empty)
    above = st.container()
    page = studio.bulk_actions.trash(page_number(page.pages))
    with above, st.grid(6, min_column_width=150):
        for each in page.videos:
            card(each, studio.settings.trash_days)


def card(trashed: Trashed, days: int) -> None:
    """Draw one deleted video: its prompt, the date of its removal, Restore and Delete."""
    with st.container(key=f"card_trashed_{trashed.id}", gap="xsmall"):
        with st.container(key=f"poster_{trashed.id}"):
            st.image(f"/app/static/poster/{trashed.id}.webp", width="stretch", alt="")
        with st.container(key=f"words_{trashed.id}"):
            st.text(shorten(trashed.video.title, 72) if trashed.video else "Its settings cannot be read.")
        goes = datetime.fromisoformat(trashed.deleted) + timedelta(days=days)
        st.caption(f"Deleted {age(trashed.deleted)}  \nStays until {goes:%Y-%m-%d}")
        with st.container(horizontal=True, gap="xsmall"):
            st.button("Restore", icon=":material/restore_from_trash:", key=f"restore_{trashed.id}",
                      on_click=_leave, args=(trashed.id, "restore"), disabled=only_looking())
            with st.popover("", icon=":material/delete_forever:", key=f"erase_asked_{trashed.id}",
                            help="Delete permanently", disabled=only_looking()):
                st.text("Delete this video permanently? This cannot be undone.")
                st.button("Delete permanently", type="primary", key=f"erase_{trashed.id}", on_click=_leave,
                          args=(trashed.id, "erase"))


def _leave(video_id: str, action: str) -> None:
    bulk_actions = current_studio().bulk_actions
    try:
        if action == "restore":
            bulk_actions.restore_one(video_id)
        else:
            bulk_actions.erase_one(video_id)
    except StudioError as error:
        tell_failure(error)


def _empty() -> None:
    try:
        begun(current_studio().bulk_actions.empty_trash().id)
    except StudioError as error:
        tell_failure(error)


def disk() -> None:
    """Draw the use of the disk."""
    with st.spinner("Looking at the disk …"):
        used = current_studio().bulk_actions.disk()
    st.markdown("**Disk**")
    with st.grid(5, min_column_width=140, key="disk"):
        for title, count in (("Library", used.library), ("Trash", used.trash), ("GIFs, comparisons", used.derived),
                             ("Models", used.models), ("Free", used.free)):
            st.metric(title, size(count))
    st.caption("The library and the trash with all pictures and settings.")


with shown_errors():
    top_row("Trash")
    st.page_link(GALLERY, label="Back to the gallery", icon=":material/arrow_back:")
    done_row()
    trash()
    disk()
