"""What can be said of models and videos before anything runs, and model folders that are not what they seem."""

import json
from dataclasses import replace

import pytest

from core.forecast import prompt_examples, unknown_words
from core.models import MODELS, catalog
from core.progress import PHASES, Progress


def odd_folder(models_dir, **files):
    for name, text in {"model_index.json": "{}", **files}.items():
        path = models_dir / "odd" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return models_dir


@pytest.mark.parametrize("config", ["[]", "3", "null", "{", '{"sample_size": [4]}'])
def test_a_model_folder_with_an_odd_configuration_is_offered_with_the_generic_size(tmp_path, config):
    models = catalog(odd_folder(tmp_path, **{"unet/config.json": config}))
    assert models["odd"].defaults.width == 256 and set(MODELS) < set(models)


@pytest.mark.parametrize("text", [
    "[]", "null", "3", "{", '"words"', '{"words": null}', '{"words": {"a": 1}}', '{"words": [["a"]]}', "{}",
    '{"words": ["a"], "examples": 3}', '{"words": ["a"], "examples": [null]}'])
def test_a_word_list_that_is_none_of_ours_is_as_good_as_absent(tmp_path, text):
    odd_folder(tmp_path, **{"vocabulary.json": text})
    assert unknown_words(tmp_path, "odd", "a dragon") == ()
    assert prompt_examples(tmp_path, replace(MODELS["demo"], key="odd")) == MODELS["demo"].examples


def test_a_word_list_without_examples_is_a_word_list(tmp_path):
    odd_folder(tmp_path, **{"vocabulary.json": json.dumps({"words": ["a"]})})
    assert unknown_words(tmp_path, "odd", "a dragon") == ("dragon",)


def test_a_phase_is_one_of_the_words_that_screens_know():
    assert [Progress(phase).phase for phase in PHASES] == list(PHASES)
    with pytest.raises(ValueError, match="'dreaming' is not a phase"):
        Progress("dreaming")
