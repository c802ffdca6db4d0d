"""The videos of a page as a table, for those who look by numbers.

The columns that most people ask for come first and fill a screen 1280 pixels wide; the others are scrolled to.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from core.library.query import Page
from core.models import SCHEDULERS, ModelSpec
from core.modes import MODES
from core.video import Video
from pages.parts.video_card import open_video

ROW_PX = 56
_NO_POSTER = ("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 48 48' fill='none' "
              "stroke='%23c2703d' stroke-width='2'%3E%3Crect x='9' y='9' width='30' height='30' rx='4'/%3E"
              "%3Cpath d='M9 39 39 9'/%3E%3C/svg%3E")
_IF_ANY = ("Negative prompt", "LoRA", "Owner")  # left out where no video of the page has one
_COLUMNS: dict[str, Any] = {
    "Poster": st.column_config.ImageColumn(width=72, pinned=True),
    "★": st.column_config.TextColumn(width=36),
    "Prompt": st.column_config.TextColumn(width=210),
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
    """Draw the table; a row that is chosen opens its video."""
    shown = st.dataframe(table_rows(page, models), key="table", on_select="rerun", selection_mode="single-row",
                         hide_index=True, row_height=ROW_PX, height=ROW_PX * len(page.videos) + 40,
                         column_config=_COLUMNS)
    if shown.selection.rows:
        open_video(page.videos[shown.selection.rows[0]].id)
        st.rerun()


def table_to_choose_from(page: Page, models: dict[str, ModelSpec], chosen: Collection[str], key: str) -> set[str]:
    """Draw the table with a box in each row; the ids of those that are ticked.

    Args:
        chosen: what is ticked when a table of this `key` is drawn for the first time.
    """
    videos = page.videos
    rows = [number for number, video in enumerate(videos) if video.id in chosen]
    shown = st.dataframe(table_rows(page, models), key=key, on_select="rerun", hide_index=True,
                         selection_mode="multi-row", selection_default={"selection": {"rows": rows}},
                         row_height=ROW_PX, height=ROW_PX * len(videos) + 40, column_config=_COLUMNS)
    return {videos[row].id for row in shown.selection.rows if row < len(videos)}


def table_rows(page: Page, models: dict[str, ModelSpec]) -> dict[str, list[Any]]:
    """The columns. Seeds have up to 63 bits and are text: the numbers of a browser would round them."""
    def column(say: Any) -> list[Any]:
        return [say(video) for video in page.videos]

    def title(rows: dict[str, Any], key: str | None) -> str:
        return rows[key].title if key in rows else key or ""

    columns = {
        "Poster": column(lambda v: _NO_POSTER if v.id in page.damaged else f"/app/static/poster/{v.id}.webp"),
        "★": column(lambda v: "★" if v.favorite else ""),
        "Prompt": column(lambda v: v.request.prompt),
        "Model": column(lambda v: title(models, v.request.model)),
        "Seed": column(lambda v: str(v.request.seed) if v.recipe else ""),
        "Frames": column(lambda v: v.result.num_frames), "FPS": column(lambda v: v.result.fps),
        "Steps": column(lambda v: v.request.num_inference_steps),
        "Guidance": column(lambda v: v.request.guidance_scale),
        "Size": column(lambda v: f"{v.result.width}×{v.result.height}"),
        "Verdict": column(lambda v: _verdict(v, page)),
        "Tags": column(lambda v: ", ".join(v.tags)),
        "Created": column(lambda v: _time(v.created)),
        "Mode": column(lambda v: title(MODES, v.request.mode)),
        "Scheduler": column(lambda v: title(SCHEDULERS, v.request.scheduler)),
        "Negative prompt": column(lambda v: v.request.negative_prompt or ""),
        "LoRA": column(lambda v: ", ".join(str(lora.get("name", "")) for lora in v.receipt.loras)),
        "Owner": column(lambda v: v.owner),
        "Seconds": column(lambda v: v.runtime.total_s if v.recipe else None),
    }
    return {name: values for name, values in columns.items() if name not in _IF_ANY or any(values)}


def _verdict(video: Video, page: Page) -> str:
    if video.verdict is not None:
        return video.verdict.verdict.capitalize()
    if video.id in page.damaged:
        return "Damaged"
    return "Newer studio" if video.id in page.newer else "" if video.recipe else "No recipe"


def _time(created: str) -> datetime | None:
    try:
        then = datetime.fromisoformat(created)
    except ValueError:
        return None
    return then.astimezone(UTC) if then.tzinfo else then.replace(tzinfo=UTC)
