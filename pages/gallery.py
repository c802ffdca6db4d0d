"""Gallery: every stored video, to find, play, prove and make again."""

from dataclasses import replace

import streamlit as st

from core.domain.models import ModelSpec
from core.errors import StudioError
from core.library.search.query import Page, Query
from pages.parts.bulk_progress import done_row
from pages.parts.compared import compared, stop_comparing
from pages.parts.filters import active_filters, clear, filter_row, page_number, wants_table
from pages.parts.formatting import size, some
from pages.parts.import_export_panel import transfer, transfer_button
from pages.parts.in_progress import making
from pages.parts.keys import listen
from pages.parts.opened_head import close
from pages.parts.opened_video import opened_video
from pages.parts.saved_searches import saved_searches
from pages.parts.selection import pick_button, picking, selection_bar, tick_box, tick_table, toggle
from pages.parts.shell import GENERATE, TRASH, current_studio, guard, only_looking, top_row
from pages.parts.shown_errors import shown_errors
from pages.parts.toasts import tell_failure
from pages.parts.video_card import moving, video_card
from pages.parts.video_table import video_table

guard()


def browse() -> Query:
    """Draw the results, with the running jobs above them; returns the query."""
    notices()
    studio = current_studio()
    models = studio.models()
    query = filter_row(studio.facets(), models, saved_searches)
    page = studio.search(query)
    filtered = active_filters(found(page), tools if page.entries else None)
    making()
    bar = st.container(key="selection_place")
    if not page.entries:
        if picking():
            with bar:
                selection_bar(query, page)
        nothing(filtered)
        return query
    above = st.container()
    number = page_number(page.pages)
    if number != page.page:
        page = studio.search(replace(query, page=number))
    if picking():
        with bar:
            selection_bar(query, page)
    with above:
        if wants_table() and picking():
            tick_table(page, models)
        elif wants_table():
            video_table(page, models)
        else:
            grid(page, models)
    return query


def tools() -> None:
    """Draw the buttons for actions on more than one video."""
    if not picking():
        pick_button()
    transfer_button("transfer")


def found(page: Page) -> str:
    """The number of videos and their size."""
    return f"{page.total:,} {'video' if page.total == 1 else 'videos'} · {size(page.bytes)}"


def grid(page: Page, models: dict[str, ModelSpec]) -> None:
    """The videos of a page as cards."""
    moving(entry.id for entry in page.entries if entry.id not in page.damaged)
    with st.grid(6, min_column_width=150):
        for entry in page.entries:
            spec = models.get(entry.model)
            video_card(entry, spec.title if spec else entry.model, entry.id in page.damaged,
                       entry.id in page.newer, *((tick_box, toggle) if picking() else ()))


def notices() -> None:
    """Show the repairs made when the library was opened, until the person has read them."""
    sentences = current_studio().notices()
    if sentences and not st.session_state.get("notices_read"):
        with st.expander(f"{some(len(sentences), 'note')} from opening the library", icon=":material/healing:",
                         key="notices"):
            for sentence in sentences:
                st.text(sentence)
            st.button("Understood", key="understood", on_click=st.session_state.update,
                      kwargs={"notices_read": True})


def nothing(filtered: bool) -> None:
    """Draw an empty library, or filters without a match, with a next step."""
    with st.container(border=True, horizontal_alignment="center"):
        st.space("medium")
        if filtered:
            st.text("No video matches.", width="content")
            st.button("Clear the filters", icon=":material/filter_list_off:", key="clear_nothing", on_click=clear)
        else:
            st.text("No videos yet. Your videos will appear here.", width="content")
            st.page_link(GENERATE, label="Generate a video", icon=":material/auto_awesome:", width="content")
            if current_studio().examples() and not only_looking():
                st.button("Add the examples", icon=":material/playlist_add:", key="add_examples", on_click=add_examples)
            transfer_button("transfer_nothing")
        st.space("medium")


def add_examples() -> None:
    """Import the examples; called before the page is drawn."""
    try:
        current_studio().add_examples()
    except StudioError as error:
        tell_failure(error)


with shown_errors():
    asked, pair = st.query_params.get("video", ""), st.query_params.get("compare", "")
    listen()
    if pair:
        top_row("Back to the video" if asked else "Gallery", stop_comparing)
    else:
        top_row("Gallery", close if asked else None)
    done_row()
    if asked or pair:
        above = st.container()
        with st.expander("Search the gallery", icon=":material/search:"):
            searched = filter_row(current_studio().facets(), current_studio().models(), saved_searches)
        with above, shown_errors():
            if pair:
                compared(pair)
            else:
                if searched.document():  # without a search, the head of the video shows the count
                    active_filters(found(current_studio().search(searched)))
                opened_video(asked, searched)
    else:
        transfer(browse())
        st.page_link(TRASH, label="Trash and disk use", icon=":material/delete:")
