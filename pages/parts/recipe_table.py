"""The recipe of a video and its run, as a table and as text; for a video without a recipe, the facts of its file."""

import streamlit as st

from core.domain.modes import MODES
from core.domain.video import Video
from core.families.registry import SCHEDULERS
from pages.parts.formatting import model_title, moment, plain, seconds, size

_PROOF = ("Versions", "Weights", "Frames' SHA-256", "Noise's SHA-256")  # the values that only a machine compares


def recipe(video: Video) -> None:
    """Draw the rows, and the same rows as text to copy."""
    rows = recipe_rows(video)
    shown = {name: value for name, value in rows.items() if name not in _PROOF}
    st.table({"Setting": list(shown), "Value": [plain(value) for value in shown.values()]},
             hide_header=True, hide_index=True, border="horizontal")
    title, first = ("The recipe as text", "Prompt") if video.recipe else ("Details as text", "Name")
    with st.expander(title, icon=":material/content_copy:"):
        st.code("\n".join(f"{name}: {value}" for name, value in {first: video.title, **rows}.items()),
                language=None, wrap_lines=True)


def recipe_rows(video: Video) -> dict[str, str]:
    """The settings that decided the frames, as text, in reading order; for a video from outside, its file."""
    if video.recipe is None:
        return _file_rows(video)
    recipe, receipt, machine = video.recipe, video.receipt, video.receipt.environment
    scheduler = SCHEDULERS.get(recipe.scheduler)
    peak = video.runtime.peak_memory_bytes
    memory = f"at most {size(peak)} of memory" if peak else ""
    return {
        "Model": model_title(receipt.model),
        "Seed": str(recipe.seed), "Frames": str(video.result.num_frames),
        "Size": f"{video.result.width} × {video.result.height}",
        "Length": f"{video.result.duration_s:g} s at {video.result.fps} frames per second",
        "Steps": str(recipe.num_inference_steps), "Guidance": f"{recipe.guidance_scale:g}",
        "Scheduler": scheduler.title if scheduler else recipe.scheduler,
        "Mode": MODES[recipe.mode].title if recipe.mode in MODES else recipe.mode,
        "Negative prompt": recipe.negative_prompt or "none",
        "Made on": f"{machine.device_name} ({machine.device}, {machine.dtype})",
        "Versions": ", ".join(f"{name} {version}" for name, version in machine.versions.items() if version),
        "Weights": f"{receipt.model_source} {receipt.model_revision[:12]} {receipt.weights_sha256[:12]}",
        "Frames' SHA-256": receipt.frames_sha256[:16], "Noise's SHA-256": receipt.noise_sha256[:16],
        "Took": ", ".join(filter(None, (seconds(video.runtime.total_s), memory))),
        "File": size(video.result.bytes), "Created": moment(video.created), "Id": video.id,
    }


def _file_rows(video: Video) -> dict[str, str]:
    result = video.result
    return {
        "Frames": str(result.num_frames), "Size": f"{result.width} × {result.height}",
        "Length": f"{result.duration_s:g} s at {result.fps:g} frames per second", "Codec": result.codec,
        "File": size(result.bytes), "Added": moment(video.created), "Id": video.id,
    }
