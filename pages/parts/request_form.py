"""The form of a request: filled so that one click makes a video, sent unchanged, refused with a sentence."""

import re
import secrets
from typing import Any

import streamlit as st

from core.domain.models import NEGATIVE_PROMPT, ModelSpec, Range
from core.domain.modes import EXACT, MODES
from core.domain.recipe import SEED_BITS, Recipe
from core.domain.request import VideoRequest
from core.domain.verdict import EQUIVALENT, IDENTICAL
from core.domain.video import REMIX
from core.errors import DoesNotFit, StudioError
from core.families.registry import SCHEDULERS
from core.planning.estimate import in_words
from pages.parts.audition_card import audition_button, audition_settings
from pages.parts.estimate_line import estimate_line
from pages.parts.formatting import plain, shorten, size
from pages.parts.scroll_to_result import accepted
from pages.parts.shell import current_studio, device_word, only_looking
from pages.parts.shown_errors import show_error

MOST_EXAMPLES = 6
OTHER_SIZE = "other"
FIRST_PROMPT = "a red ball bouncing on a white background"
KEEP: dict[str, Any] = {"persist_state": "session"}


def request_form() -> None:
    """Draw the form. Generate queues its request before the page is drawn again."""
    models = current_studio().models()
    _fill_once(models)
    spec = models[st.session_state.f_model]
    if _parent():
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(":material/edit: Filled from a video of the gallery: change what you like.")
            st.button("Start again", type="tertiary", key="afresh", on_click=_start_again)
        for name, was, now in st.session_state.get("f_replaced", ()):
            st.warning(f"Its {name} {plain(str(was))} is not offered here; the form has {plain(now)} instead.",
                       icon=":material/swap_horiz:")
    st.text_area("Prompt", key="f_prompt", height=96, placeholder="Describe the video in one sentence", **KEEP)
    _hint(spec)
    examples = current_studio().planner.prompt_examples(spec.key)[:MOST_EXAMPLES]
    if examples:
        st.pills("Try one of these", examples, format_func=lambda text: plain(shorten(text, 34)), key="f_example",
                 on_change=_take_example, label_visibility="collapsed", wrap=True)
    left, right = st.columns(2)
    with left:
        st.selectbox("Model", list(models), format_func=lambda key: models[key].title, key="f_model",
                     help=plain(spec.summary), on_change=_take_defaults, **KEEP)
        st.caption(f"{_model_line(spec)} {plain(spec.licence)}: {plain(spec.permitted_use)}")
    with right:
        st.number_input(_label("Frames", spec, "num_frames"), key="f_num_frames", value=None, step=1, **KEEP)
        st.caption(_length(spec))
    left, right = st.columns(2)
    with left:
        _size_fields(spec)
    with right, st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall"):
        st.text_input("Seed", key="f_seed", placeholder="random", **KEEP,
                      help="The same seed and settings make the same video. Empty: a new one is drawn each time.")
        st.button("", icon=":material/casino:", key="dice", help="Draw a seed and keep it", on_click=_roll)
    _more_settings(spec)
    failure = st.session_state.get("f_failure")
    if failure is not None:
        show_error(failure)
    if isinstance(failure, DoesNotFit) and failure.fits:
        st.button(f"Use {in_words(failure.fits)}", key="use_fitting", icon=":material/content_cut:",
                  disabled=only_looking(), on_click=_use_fitting, args=(failure.fits,))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Generate", type="primary", icon=":material/auto_awesome:", key="generate", on_click=_submit,
                  shortcut="Ctrl+Enter", disabled=only_looking())
        audition_button(_request, spec)
        estimate_line(_request())


def fill_from(recipe: Recipe, models: dict[str, ModelSpec]) -> None:
    """Put a recipe into the form, field by field."""
    state = st.session_state
    for name, value in recipe.document().items():
        state[f"f_{name}"] = value
    state.f_seed, state.f_replaced = str(recipe.seed), []
    if recipe.model not in models:
        state.f_model = next(iter(models))
        state.f_replaced.append(("model", recipe.model, models[state.f_model].title))
    spec = models[state.f_model]
    if recipe.scheduler not in spec.schedulers:
        state.f_scheduler = spec.defaults.scheduler
        state.f_replaced.append(("scheduler", recipe.scheduler, SCHEDULERS[state.f_scheduler].title))
    if recipe.mode not in spec.modes:
        state.f_mode = EXACT
        state.f_replaced.append(("mode", recipe.mode, MODES[EXACT].title))
    state.f_size = (recipe.width, recipe.height)
    state.f_failure = None


def _fill_once(models: dict[str, ModelSpec]) -> None:
    """Fill the form at the first visit, and again if the address names a video to start from."""
    source = st.query_params.get("from", "")
    if source and st.session_state.get("f_filled_from") != source:
        st.session_state.f_filled_from = source
        st.session_state.f_parent = None
        try:
            fill_from(current_studio().video(source).known_recipe(), models)
            st.session_state.f_parent = source
        except StudioError as error:
            st.session_state.f_failure = error
    if st.session_state.get("f_model") not in models:
        default = current_studio().default_model()
        st.session_state.f_model = default if default in models else next(iter(models))
        _take_defaults()


def _take_defaults() -> None:
    """Set every field to the defaults of the chosen model. A prompt written by the person stays."""
    studio = current_studio()
    spec = studio.models()[st.session_state.f_model]
    defaults = spec.defaults
    for name in ("num_frames", "num_inference_steps", "guidance_scale", "fps", "width", "height", "scheduler"):
        st.session_state[f"f_{name}"] = getattr(defaults, name)
    st.session_state.f_size = (defaults.width, defaults.height)
    st.session_state.f_mode = EXACT
    st.session_state.setdefault("f_negative_prompt", NEGATIVE_PROMPT)
    st.session_state.setdefault("f_seed", "")
    st.session_state.f_failure = None
    examples = {text for key in studio.models() for text in studio.planner.prompt_examples(key)}
    if st.session_state.get("f_prompt", "") in examples | {"", FIRST_PROMPT}:
        st.session_state.f_prompt = (*studio.planner.prompt_examples(spec.key), FIRST_PROMPT)[0]


def _take_example() -> None:
    if st.session_state.f_example:
        st.session_state.f_prompt = st.session_state.f_example
    st.session_state.f_example = None


def _roll() -> None:
    st.session_state.f_seed = str(secrets.randbits(SEED_BITS))


def _hint(spec: ModelSpec) -> None:
    """Draw one line: unknown words, or the summary of the model. It is always there, so nothing below it moves."""
    unknown = current_studio().planner.unknown_words(spec.key, st.session_state.f_prompt or "")
    with st.container(key="hint"):
        if unknown:
            words = ", ".join(f"*{plain(word)}*" for word in unknown[:6])
            known = plain(spec.summary.split(". ")[0])
            st.caption(f"The {plain(spec.title.lower())} does not know {words}. {known}.")
        else:
            st.caption(plain(spec.summary))


def _model_line(spec: ModelSpec) -> str:
    """A sentence: whether the chosen model is loaded, or what its first use needs."""
    studio = current_studio()
    status = studio.worker()
    if status is not None and status.model == spec.key:
        return f"Ready on {device_word(status)}."
    if status is not None and status.device == "cpu" and spec.needs_cuda:
        return "Needs an NVIDIA GPU; this machine has none."
    if not studio.planner.is_on_disk(spec.key):
        return f"Downloads {size(spec.download_bytes)} at first use." if spec.download_bytes else "Not here yet."
    return "Not loaded yet: the first video loads it." if status is not None else ""


def _label(title: str, spec: ModelSpec, name: str) -> str:
    """The title of a field, with its best range."""
    best = spec.recommended.get(name)
    return f"{title} · best {_range(best)}" if best else title


def _range(best: Range) -> str:
    return f"{best.low:g}" if best.low == best.high else f"{best.low:g}–{best.high:g}"


def _length(spec: ModelSpec) -> str:
    frames = st.session_state.f_num_frames or spec.defaults.num_frames
    fps = st.session_state.get("f_fps") or spec.defaults.fps
    return f"{frames / fps:.1f} s at {fps} frames per second" if fps > 0 else ""


def _size_fields(spec: ModelSpec) -> None:
    wide, high = native = (spec.defaults.width, spec.defaults.height)
    offered = {native, (wide * 3 // 2, high), (wide, high * 3 // 2), (wide * 2, high * 2)}
    accepted_here = {pair for pair in offered if pair[0] in spec.limits.width and pair[1] in spec.limits.height}
    fitting = sorted(accepted_here | ({st.session_state.f_size} - {OTHER_SIZE}))
    titles = {pair: f"{pair[0]} × {pair[1]}" + (" · best" if pair == native else "") for pair in fitting}
    st.selectbox("Size", [*fitting, OTHER_SIZE], format_func=lambda pair: titles.get(pair, "Other…"), key="f_size",
                 **KEEP)
    if st.session_state.f_size == OTHER_SIZE:
        width, height = st.columns(2)
        width.number_input("Width", key="f_width", value=None, step=8, **KEEP)
        height.number_input("Height", key="f_height", value=None, step=8, **KEEP)


def _more_settings(spec: ModelSpec) -> None:
    with st.expander("More settings", icon=":material/tune:", key="more"):
        steps, guidance, fps = st.columns(3)
        steps.number_input(_label("Steps", spec, "num_inference_steps"), key="f_num_inference_steps", value=None,
                           step=1, help="More steps: finer and slower.", **KEEP)
        guidance.number_input(_label("Guidance", spec, "guidance_scale"), key="f_guidance_scale", value=None,
                              step=0.5, format="%.1f", **KEEP,
                              help="How closely the prompt is followed; 1 switches it off.")
        fps.number_input(_label("FPS", spec, "fps"), key="f_fps", value=None, step=1,
                         help="Frames per second of the file; it does not change the frames.", **KEEP)
        st.selectbox("Scheduler", list(spec.schedulers), key="f_scheduler", format_func=_scheduler_title, **KEEP)
        st.selectbox("Mode", list(spec.modes), key="f_mode", format_func=_mode_title, **KEEP)
        st.caption(plain(MODES[st.session_state.get("f_mode", EXACT)].help))
        audition_settings(spec, KEEP)
        st.text_area("Negative prompt", key="f_negative_prompt", height=80,
                     help="Things that the video should not show.", **KEEP)


def _scheduler_title(key: str) -> str:
    row = SCHEDULERS.get(key)
    if row is None:
        return key
    return f"{row.title} · deterministic" if row.deterministic else row.title


def _mode_title(key: str) -> str:
    """A mode, and the verdict to expect when its videos are made again on this machine."""
    again = IDENTICAL if current_studio().device() in MODES[key].identical_on else EQUIVALENT
    return f"{MODES[key].title} · {again} each time"


def _request() -> VideoRequest:
    """The request of the form. A seed that is no number is passed on unchanged; the studio then refuses it."""
    state = st.session_state
    width, height = (state.get("f_width"), state.get("f_height")) if state.f_size == OTHER_SIZE else state.f_size
    seed = (state.f_seed or "").strip()
    return VideoRequest(
        prompt=state.f_prompt or "", negative_prompt=state.f_negative_prompt or "", model=state.f_model,
        num_frames=state.f_num_frames, num_inference_steps=state.f_num_inference_steps,
        guidance_scale=state.f_guidance_scale, fps=state.f_fps,
        seed=int(seed) if re.fullmatch(r"-?[0-9]{1,40}", seed) else (seed or None),  # type: ignore[arg-type]
        width=width, height=height, scheduler=state.f_scheduler, mode=state.get("f_mode"))


def _parent() -> str | None:
    """The video from which the form was filled, as long as the address names it."""
    parent = st.session_state.get("f_parent")
    return parent if parent and st.query_params.get("from") == parent else None


def _start_again() -> None:
    st.query_params.pop("from", None)
    for name in ("f_filled_from", "f_parent", "f_prompt", "f_seed", "f_negative_prompt"):
        st.session_state.pop(name, None)
    _take_defaults()


def _use_fitting(changes: dict[str, int]) -> None:
    """Change the fields that do not fit, and queue the request."""
    for name, value in changes.items():
        st.session_state[f"f_{name}"] = value
    if "width" in changes:
        st.session_state.f_size = (changes["width"], changes["height"])
    _submit()


def _submit() -> None:
    parent = _parent()
    try:
        accepted(current_studio().submit(_request(), parent=parent, relation=REMIX).id)
    except StudioError as error:
        st.session_state.f_failure = error
    else:
        st.session_state.f_failure = None
        st.query_params.pop("job", None)
