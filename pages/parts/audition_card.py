"""A seed audition on the screen: asking for one, its contact sheet, and a button for each seed."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import streamlit as st

from core.domain.models import ModelSpec
from core.domain.recipe import SEED_BITS
from core.domain.request import VideoRequest
from core.errors import NotFound, StudioError
from core.jobs.kinds.audition import COUNTS, Audition, short_steps
from core.jobs.queue.job import Job
from core.library.media.contact_sheet import columns
from pages.parts.formatting import age, elapsed, model_title, plain, roughly, seconds, short_seed, shorten
from pages.parts.scroll_to_result import accepted
from pages.parts.shell import current_studio, only_looking
from pages.parts.toasts import tell_failure

USUAL = 6
SHEET_WIDTH = 588


def audition_settings(spec: ModelSpec, keep: dict[str, Any]) -> None:
    """Draw the number of seeds and of steps of a try, among the other settings of the form."""
    st.session_state.setdefault("f_audition_seeds", USUAL)
    full = st.session_state.f_num_inference_steps or spec.defaults.num_inference_steps
    left, right = st.columns([2, 1])
    with left:
        st.segmented_control("Seeds to try", COUNTS, key="f_audition_seeds", required=True, **keep,
                             help="Short runs side by side on one moving sheet, to choose a seed before you wait.")
    right.number_input("Steps of a try", key="f_audition_steps", value=None, step=1, min_value=1, **keep,
                       placeholder=str(short_steps(full)) if full > 0 else None,
                       help="Empty: a third of all steps.")


def audition_button(ask: Callable[[], VideoRequest], spec: ModelSpec) -> None:
    """Draw `Try 6 seeds`. A press queues an audition of the form's request at that moment (`ask`)."""
    count = st.session_state.f_audition_seeds
    full = ask().num_inference_steps or spec.defaults.num_inference_steps
    steps = st.session_state.get("f_audition_steps") or (short_steps(full) if full > 0 else 1)
    estimate = current_studio().planner.estimate(ask(), count, steps)
    takes = f", about {roughly(estimate.seconds)}" if estimate is not None and estimate.seconds else ""
    st.button(f"Try {count} seeds", icon=":material/grid_view:", key="audition", on_click=_try,
              args=(ask,), disabled=only_looking(),
              help=f"{count} short runs of {steps} steps on one sheet{takes}. The one you choose is finished "
                   f"with all {full} steps and begins with the same noise.")


def audition_card(job: Job) -> None:
    """Draw the contact sheet of an audition that has ended well, with its actions."""
    asked = tried_by(job)
    recipe = asked.recipe
    with st.container(border=True, key=f"audition_{job.id}"):
        try:
            current_studio().contact_sheet_path(job.id)
        except NotFound as error:
            st.caption(f":material/info: {plain(str(error))} The seeds can still be finished.")
        else:
            with st.container(horizontal=True, horizontal_alignment="center"):
                st.image(f"/app/static/audition/{job.id}.webp", width=SHEET_WIDTH,
                         alt=f"{len(asked.seeds)} numbered tries of: {shorten(recipe.prompt, 100)}")
        with st.container(gap=None):
            st.text(shorten(recipe.prompt, 160))
            st.caption(f"{len(asked.seeds)} seeds at {asked.num_inference_steps} of {recipe.num_inference_steps} "
                       f"steps · {model_title(recipe.model)} "
                       f"· made in {seconds(elapsed(job))} · {age(job.ended or job.created)}")
            if job.reason:
                st.caption(f":material/info: {plain(job.reason)}")
        with st.grid(columns(len(asked.seeds)), min_column_width=170, key=f"finish_{job.id}"):
            for place, seed in enumerate(asked.seeds, start=1):
                st.button(f"{place} · Finish seed {short_seed(seed)}", key=f"finish_{job.id}_{place}",
                          width="stretch", on_click=_finish, args=(job.id, seed), disabled=only_looking(),
                          help=f"Makes the video of seed {seed} with all {recipe.num_inference_steps} steps.")
        with st.container(horizontal=True):
            st.button(f"Try {len(asked.seeds)} other seeds", icon=":material/casino:", key=f"others_{job.id}",
                      type="tertiary", on_click=_try_others, args=(job,), disabled=only_looking())
            with st.popover("Delete", icon=":material/delete:", key=f"forget_asked_{job.id}", type="tertiary",
                            disabled=only_looking()):
                st.text("Delete this sheet and its list of seeds permanently? Videos finished from it stay.")
                st.button("Delete these tries", icon=":material/delete:", key=f"forget_{job.id}", type="primary",
                          on_click=_forget, args=(job.id,))


def tried_by(job: Job) -> Audition:
    """The task of a job that is an audition."""
    assert isinstance(job.task, Audition)
    return job.task


def _try(ask: Callable[[], VideoRequest]) -> None:
    try:
        accepted(current_studio().audition(ask(), st.session_state.f_audition_seeds,
                                   st.session_state.get("f_audition_steps")).id)
    except StudioError as error:
        st.session_state.f_failure = error
    else:
        st.session_state.f_failure = None
        st.query_params.pop("job", None)


def _finish(job_id: str, seed: int) -> None:
    try:
        current_studio().finish(job_id, seed)
    except StudioError as error:
        tell_failure(error)
    else:
        st.query_params.pop("job", None)


def _forget(job_id: str) -> None:
    try:
        current_studio().forget_audition(job_id)
    except StudioError as error:
        tell_failure(error)
    if st.query_params.get("job") == job_id:
        st.query_params.pop("job")


def _try_others(job: Job) -> None:
    asked = tried_by(job)
    following = replace(asked.recipe.request(), seed=(asked.seeds[-1] + 1) % 2**SEED_BITS)
    try:
        current_studio().audition(following, len(asked.seeds), asked.num_inference_steps)
    except StudioError as error:
        tell_failure(error)
    else:
        st.query_params.pop("job", None)
