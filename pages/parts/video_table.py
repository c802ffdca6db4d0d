"""The videos of a page as a table, for those who look by numbers."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from core.models import SCHEDULERS, ModelSpec
from core.video import Video
from pages.parts.video_card import open_video

ROW_PX = 56
_COLUMNS: dict[str, Any] = {
    "Poster": st.column_config.ImageColumn(width=72),
    "★": st.column_config.TextColumn(width=40),
    "Prompt": st.column_config.TextColumn(width=240),
    "Verdict": st.column_config.TextColumn(width=95),
    "Guidance": st.column_config.NumberColumn(format="%.4g"),
    "Seconds": st.column_config.NumberColumn(format="%.1f", help="How long it took to make."),
    "Created": st.column_config.DatetimeColumn("Created (UTC)", format="YYYY-MM-DD HH:mm"),
}


def video_table(videos: Sequence[Video], models: dict[str, ModelSpec], damaged: Sequence[str]) -> None:
    """Draw the table; a row that is chosen opens its video."""
    rows = table_rows(videos, models, damaged)
    shown = st.dataframe(rows, key="table", on_select="rerun", selection_mode="single-row", hide_index=True,
                         row_height=ROW_PX, height=ROW_PX * len(videos) + 40, column_config=_COLUMNS)
    if shown.selection.rows:
        open_video(videos[shown.selection.rows[0]].id)
        st.rerun()


def table_to_choose_from(videos: Sequence[Video], models: dict[str, ModelSpec], damaged: Sequence[str],
                         chosen: Collection[str], key: str) -> set[str]:
    """Draw the table with a box in each row; the ids of those that are ticked.

    Args:
        chosen: what is ticked when a table of this `key` is drawn for the first time.
    """
    rows = [number for number, video in enumerate(videos) if video.id in chosen]
    shown = st.dataframe(table_rows(videos, models, damaged), key=key, on_select="rerun", hide_index=True,
                         selection_mode="multi-row", selection_default={"selection": {"rows": rows}},
                         row_height=ROW_PX, height=ROW_PX * len(videos) + 40, column_config=_COLUMNS)
    return {videos[row].id for row in shown.selection.rows if row < len(videos)}


def table_rows(videos: Sequence[Video], models: dict[str, ModelSpec],
               damaged: Sequence[str]) -> dict[str, list[Any]]:
    """The columns. Seeds have up to 63 bits and are text: the numbers of a browser would round them."""
    def column(say: Any) -> list[Any]:
        return [say(video) for video in videos]

    def model(video: Video) -> str:
        key = video.request.model or ""
        return models[key].title if key in models else key

    def scheduler(video: Video) -> str:
        key = video.request.scheduler or ""
        return SCHEDULERS[key].title if key in SCHEDULERS else key

    return {
        "Poster": column(lambda v: None if v.id in damaged else f"/app/static/poster/{v.id}.webp"),
        "★": column(lambda v: "★" if v.favorite else ""),
        "Prompt": column(lambda v: v.request.prompt),
        "Model": column(model), "Seed": column(lambda v: str(v.request.seed) if v.recipe else ""),
        "Frames": column(lambda v: v.result.num_frames), "Steps": column(lambda v: v.request.num_inference_steps),
        "Guidance": column(lambda v: v.request.guidance_scale), "Scheduler": column(scheduler),
        "Size": column(lambda v: f"{v.result.width}×{v.result.height}"),
        "Verdict": column(lambda v: v.verdict.verdict.capitalize() if v.verdict else
                          "File missing or damaged" if v.id in damaged else "" if v.recipe else "No recipe"),
        "Seconds": column(lambda v: v.runtime.total_s if v.recipe else None),
        "Created": column(lambda v: _time(v.created)),
        "Tags": column(lambda v: ", ".join(v.tags)),
    }


def _time(created: str) -> datetime | None:
    try:
        then = datetime.fromisoformat(created)
    except ValueError:
        return None
    return then.astimezone(UTC) if then.tzinfo else then.replace(tzinfo=UTC)
