"""Allowed requests, and refusals before the queue."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.models import NEGATIVE_PROMPT, Range
from core.domain.recipe import PROMPT_LIMIT, Change, Size, changes, resolve
from core.domain.request import VideoRequest
from core.errors import BadRequest
from core.families.catalog import catalog
from core.families.registry import MODELS, SCHEDULERS


def test_a_prompt_alone_gets_every_default_of_the_model():
    full = resolve(VideoRequest("a red ball"), MODELS)
    defaults = MODELS["demo"].defaults
    assert None not in full.document().values()
    assert full.model == "demo"
    assert full.negative_prompt == NEGATIVE_PROMPT
    assert (full.num_frames, full.width, full.scheduler) == (defaults.num_frames, defaults.width, "dpmsolver++")


def test_modelscope_defaults_are_those_of_its_card():
    full = resolve(VideoRequest("a panda", model="modelscope-1.7b"), MODELS)
    assert (full.width, full.height, full.num_frames, full.fps) == (256, 256, 16, 8)
    assert (full.guidance_scale, full.num_inference_steps) == (9.0, 25)


def test_an_empty_negative_prompt_is_kept_empty():
    assert resolve(VideoRequest("a red ball", negative_prompt=""), MODELS).negative_prompt == ""


def test_a_request_is_never_changed():
    asked = VideoRequest("x", "y", "modelscope-1.7b", 24, 30, 7.5, 6, 0, 320, 256, "ddim", "fast")
    assert resolve(asked, MODELS).request() == asked


def test_resolving_twice_changes_nothing():
    once = resolve(VideoRequest("a red ball"), MODELS)
    assert resolve(once.request(), MODELS) == once


def test_drawn_seeds_differ_and_have_63_bits():
    seeds = {resolve(VideoRequest("a"), MODELS).seed for _ in range(50)}
    assert len(seeds) == 50
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert max(seeds) >= 2**57


@pytest.mark.parametrize(("field", "value"), [
    ("prompt", ""), ("prompt", " \n "), ("prompt", "a" * (PROMPT_LIMIT + 1)), ("prompt", "nul\0"),
    ("prompt", "\ud800"), ("prompt", "bell\x07"), ("prompt", 7), ("negative_prompt", "b" * (PROMPT_LIMIT + 1)),
    ("negative_prompt", "\0"), ("model", "no-such-model"), ("model", 3), ("model", "../demo"),
    ("scheduler", "heun"), ("mode", "turbo"), ("mode", ""),
    ("num_frames", 0), ("num_frames", 33), ("num_frames", 16.0), ("num_frames", True), ("num_frames", "16"),
    ("num_inference_steps", 0), ("num_inference_steps", 101), ("guidance_scale", 0.5), ("guidance_scale", 31),
    ("guidance_scale", math.nan), ("guidance_scale", math.inf), ("fps", 0), ("fps", 61), ("fps", 7.5),
    ("seed", -1), ("seed", 2**63), ("seed", 10**400), ("seed", 1.5), ("width", 72), ("width", 16), ("height", 272),
])
def test_the_impossible_is_refused_and_the_field_named(field, value):
    with pytest.raises(BadRequest) as refused:
        resolve(replace(VideoRequest("a red ball"), **{field: value}), MODELS)
    assert refused.value.field == field
    assert len(str(refused.value)) > len(field) + 10


def test_the_refusal_says_the_value_and_what_is_accepted():
    with pytest.raises(BadRequest, match=r"num_frames: 99 is outside what Demo model accepts: 1 to 32"):
        resolve(VideoRequest("a", num_frames=99), MODELS)
    with pytest.raises(BadRequest, match="the nearest are 64 and 80"):
        resolve(VideoRequest("a", width=70), MODELS)


@given(st.text(min_size=1, max_size=200))
def test_every_text_is_kept_to_the_letter_or_refused(prompt):
    try:
        assert resolve(VideoRequest(prompt), MODELS).prompt == prompt
    except BadRequest as refused:
        assert refused.field == "prompt"


@given(st.builds(VideoRequest, prompt=st.text(min_size=1, max_size=20), seed=st.integers(0, 2**63 - 1),
                 guidance_scale=st.floats(1, 30)))
def test_a_document_holds_the_whole_request(request):
    assert VideoRequest.from_document(request.document()) == request


@pytest.mark.parametrize("document", [[], {}, {"prompt": "a", "temperature": 1}])
def test_a_document_of_something_else_is_refused(document):
    with pytest.raises(BadRequest):
        VideoRequest.from_document(document)


def test_every_default_is_within_its_own_limits_and_every_recommendation_too():
    for spec in MODELS.values():
        resolve(VideoRequest("a", model=spec.key), MODELS)
        for field, advised in spec.recommended.items():
            limit = getattr(spec.limits, field)
            assert advised.low in limit and advised.high in limit, (spec.key, field)


def test_the_deterministic_schedulers_are_offered():
    assert list(SCHEDULERS) == ["dpmsolver++", "unipc", "ddim", "euler"]
    assert all(row.deterministic for row in SCHEDULERS.values())


def test_a_range_with_a_step_counts_from_its_lower_end():
    assert 40 in Range(32, 128, 8) and 41 not in Range(32, 128, 8)
    assert 7.3 in Range(1, 30, 0)


def test_a_folder_of_the_models_directory_is_a_model(models_dir):
    models = catalog(models_dir)
    assert list(models)[:3] == list(MODELS)
    assert resolve(VideoRequest("a", model="tiny"), models).model == "tiny"


def test_a_recipe_is_asked_for_by_its_own_request_and_read_back_from_its_document():
    recipe = resolve(VideoRequest("a red ball", seed=3), MODELS)
    assert resolve(VideoRequest.from_document(recipe.document()), MODELS) == recipe
    assert list(recipe.document()) == list(VideoRequest("a").document())


def test_a_recipe_of_another_size_is_the_same_in_all_else():
    recipe = resolve(VideoRequest("a red ball", num_frames=8, width=64, height=96), MODELS)
    assert (recipe.size, recipe.size.pixels) == (Size(8, 96, 64), 8 * 96 * 64)
    other = recipe.of_size(Size(4, 96, 32))
    assert other.size == Size(4, 96, 32)
    assert changes(recipe, other) == (Change("num_frames", 8, 4), Change("width", 64, 32))
    assert changes(recipe, recipe) == ()


def test_the_negative_prompt_is_read_where_guidance_is_above_one():
    guided, plain = (resolve(VideoRequest("a", guidance_scale=scale), MODELS) for scale in (1.5, 1))
    assert guided.guided and not plain.guided and isinstance(plain.guidance_scale, float)
