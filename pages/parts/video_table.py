"""The videos of a page as a table, to compare their numbers.

The most wanted columns come first and fill a screen 1280 pixels wide; the others need scrolling. A press on a picture
or a prompt opens the video. The star is the first column: the keyboard focus starts there, so nothing opens before
the person moves to the picture.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from core.domain.models import ModelSpec
from core.domain.modes import MODES
from core.families.registry import SCHEDULERS
from core.library.search.entry import Entry
from core.library.search.query import Page
from pages.parts.video_card import open_video

ROW_PX = 66  # above 64 Streamlit wraps text that is longer than its cell
_OPENING = ("Poster", "Prompt")
_NO_POSTER = ("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 48 48' fill='none' "
              "stroke='%23c2703d' stroke-width='2'%3E%3Crect x='9' y='9' width='30' height='30' rx='4'/%3E"
              "%3Cpath d='M9 39 39 9'/%3E%3C/svg%3E")
_UNKNOWN = ""  # a value of a video without a known recipe: an empty cell, not the word None
_IF_ANY = ("Negative prompt", "LoRA", "Owner")  # a column is left out if no video of the page has a value
_COLUMNS: dict[str, Any] = {
    "★": st.column_config.TextColumn(width=36, pinned=True),
    "Poster": st.column_config.ImageColumn(width=72, pinned=True),
    "Prompt": st.column_config.TextColumn(width=240),
    "Model": st.column_config.TextColumn(width=92),
    "Seed": st.column_config.TextColumn(width=152),
    "Frames": st.column_config.NumberColumn(width=64),
    "FPS": st.column_config.NumberColumn(width=46, format="%.4g", help="Frames per second of the file."),
    "Steps": st.column_config.NumberColumn(width=54),
    "Guidance": st.column_config.NumberColumn(width=78, format="%.4g"),
    "Size": st.column_config.TextColumn(width=76),
    "Verdict": st.column_config.TextColumn(width=96),
    "Tags": st.column_config.TextColumn(width=130),
    "Created": st.column_config.DatetimeColumn("Created (UTC)", width=132, format="YYYY-MM-DD HH:mm"),
    "Mode": st.column_config.TextColumn(width=80),
    "Scheduler": st.column_config.TextColumn(width=140),
    "Negative prompt": st.column_config.TextColumn(width=160),
    "LoRA": st.column_config.TextColumn(width=120),
    "Owner": st.column_config.TextColumn(width=80),
    "Seconds": st.column_config.NumberColumn(width=76, format="%.1f", help="How long it took to make."),
}


def video_table(page: Page, models: dict[str, ModelSpec]) -> None:
    """Draw the table; a press on a picture or a prompt opens its video."""
    shown = st.dataframe(table_rows(page, models), key="table", on_select="rerun", selection_mode="single-cell",
                         hide_index=True, row_height=ROW_PX, height=ROW_PX * len(page.entries) + 40,
                         column_config=_COLUMNS, placeholder=_UNKNOWN)
    for row, column in shown.selection.cells:
        if column in _OPENING and row < len(page.entries):
            open_video(page.entries[row].id)
            st.rerun()


def table_to_choose_from(page: Page, models: dict[str, ModelSpec], chosen: Collection[str], key: str) -> set[str]:
    """Draw the table with a box in each row. Returns the ids of the ticked rows.

    Args:
        chosen: the ids that are ticked when a table of this `key` is drawn for the first time.
    """
    entries = page.entries
    rows = [number for number, entry in enumerate(entries) if entry.id in chosen]
    shown = st.dataframe(table_rows(page, models), key=key, on_select="rerun", hide_index=True,
                         selection_mode="multi-row", selection_default={"selection": {"rows": rows}},
                         row_height=ROW_PX, height=ROW_PX * len(entries) + 40, column_config=_COLUMNS,
                         placeholder=_UNKNOWN)
    return {entries[row].id for row in shown.selection.rows if row < len(entries)}


def table_rows(page: Page, models: dict[str, ModelSpec]) -> dict[str, list[Any]]:
    """The columns. Seeds have up to 63 bits and are text, because a browser would round such numbers."""
    def column(say: Any) -> list[Any]:
        return [say(entry) for entry in page.entries]

    def known(name: str) -> list[Any]:
        return [getattr(entry, name) if entry.recipe else None for entry in page.entries]

    def title(rows: dict[str, Any], key: str) -> str:
        return rows[key].title if key in rows else key

    columns = {
        "★": column(lambda e: "★" if e.favorite else ""),
        "Poster": column(lambda e: _NO_POSTER if e.id in page.damaged else f"/app/static/poster/{e.id}.webp"),
        "Prompt": column(lambda e: e.prompt),
        "Model": column(lambda e: title(models, e.model)),
        "Seed": column(lambda e: str(e.seed) if e.recipe else ""),
        "Frames": column(lambda e: e.num_frames), "FPS": column(lambda e: e.fps),
        "Steps": known("num_inference_steps"), "Guidance": known("guidance_scale"),
        "Size": column(lambda e: f"{e.width}×{e.height}"),
        "Verdict": column(lambda e: _verdict(e, page)),
        "Tags": column(lambda e: ", ".join(e.tags)),
        "Created": column(lambda e: _time(e.created)),
        "Mode": column(lambda e: title(MODES, e.mode)),
        "Scheduler": column(lambda e: title(SCHEDULERS, e.scheduler)),
        "Negative prompt": column(lambda e: e.negative_prompt),
        "LoRA": column(lambda e: ", ".join(e.loras)),
        "Owner": column(lambda e: e.owner),
        "Seconds": known("total_s"),
    }
    return {name: values for name, values in columns.items() if name not in _IF_ANY or any(values)}


def _verdict(entry: Entry, page: Page) -> str:
    if entry.id in page.damaged:
        return "Damaged"
    if entry.verdict is not None:
        return entry.verdict.capitalize()
    return "Newer studio" if entry.id in page.newer else "" if entry.recipe else "No recipe"


def _time(created: str) -> datetime | None:
    try:
        then = datetime.fromisoformat(created)
    except ValueError:
        return None
    return then.astimezone(UTC) if then.tzinfo else then.replace(tzinfo=UTC)
