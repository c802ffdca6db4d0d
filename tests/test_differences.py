"""Forecasts about models and videos before anything runs, and misleading model folders."""

import json
from dataclasses import replace
from importlib import metadata

import pytest
import samples

from core.domain.modes import EXACT, MODES
from core.domain.progress import PHASES, Progress
from core.domain.receipt import LoadedModel
from core.families.catalog import catalog, folder_on_disk
from core.families.registry import MODELS
from core.families.vocabulary import prompt_examples, unknown_words
from core.planning.differences import Forecast, expected_causes
from core.settings import hub_cache

VIDEO = samples.video()
RECEIPT, MACHINE = VIDEO.receipt, VIDEO.receipt.environment
WARM = LoadedModel("demo", "folder", "", "w" * 64)


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


def test_nothing_differs_only_where_machine_and_model_are_known():
    assert expected_causes(RECEIPT, MACHINE, WARM, MODELS) == Forecast((), True)
    for now, warm in ((MACHINE, None), (MACHINE, replace(WARM, model="tiny"))):
        assert expected_causes(RECEIPT, now, warm, MODELS) == Forecast((), False)
    without_versions = replace(RECEIPT, environment=replace(MACHINE, versions={}))
    assert expected_causes(without_versions, None, WARM, MODELS) == Forecast((), False)


@pytest.mark.parametrize(("change", "words"), [
    ({"weights_sha256": "0" * 64}, "other weights or configuration under the same name"),
    ({"model_revision": "abc"}, "another revision of the model"),
    ({"model_source": "somebody/demo"}, "the model came from elsewhere")])
def test_another_loaded_model_of_the_same_name_is_foreseen(change, words):
    forecast = expected_causes(RECEIPT, MACHINE, replace(WARM, **change), MODELS)
    assert forecast.known and len(forecast.causes) == 1 and forecast.causes[0].startswith(words)


def test_a_mode_that_makes_its_steps_in_another_way_by_now_is_foreseen():
    method = MODES[EXACT].document(MACHINE.device)
    assert expected_causes(replace(RECEIPT, method=method), MACHINE, WARM, MODELS) == Forecast((), True)
    before = {name: value for name, value in method.items() if name != "linear"}
    forecast = expected_causes(replace(RECEIPT, method=before), MACHINE, WARM, MODELS)
    assert forecast == Forecast(("other settings of the mode exact (linear)",), True)
    assert expected_causes(replace(RECEIPT, method={"mode": "newer"}), MACHINE, WARM, MODELS).causes == ()


def test_a_model_that_is_not_here_is_named():
    forecast = expected_causes(replace(RECEIPT, model="gone"), MACHINE, WARM, MODELS)
    assert forecast == Forecast(("the model gone is not known here",), False)


def test_builds_of_a_version_count_only_once_the_worker_has_said_which_it_has():
    installed = metadata.version("torch").partition("+")[0]
    there = replace(MACHINE, versions={"torch": f"{installed}+cu999"})
    receipt = replace(RECEIPT, environment=there)
    assert expected_causes(receipt, None, None, MODELS) == Forecast((), False)
    here = replace(there, versions={"torch": f"{installed}+cpu"})
    assert expected_causes(receipt, here, WARM, MODELS).causes == (
        f"another version of torch ({installed}+cu999 → {installed}+cpu)",)
    older = replace(RECEIPT, environment=replace(MACHINE, versions={"torch": "1.13.1+cpu"}))
    assert len(expected_causes(older, None, None, MODELS).causes) == 1


def test_the_hubs_cache_is_where_its_library_keeps_it(tmp_path):
    home = hub_cache({}).parents[2]
    assert hub_cache({}) == home / ".cache" / "huggingface" / "hub"
    assert hub_cache({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "huggingface" / "hub"
    assert hub_cache({"HF_HOME": str(tmp_path), "XDG_CACHE_HOME": "/elsewhere"}) == tmp_path / "hub"
    assert hub_cache({"HF_HUB_CACHE": str(tmp_path), "HF_HOME": "/elsewhere"}) == tmp_path


def test_a_folder_of_the_models_directory_comes_before_the_hubs_cache(tmp_path):
    spec = MODELS["modelscope-1.7b"]
    assert folder_on_disk(tmp_path, tmp_path / "hub", spec) is None
    own = tmp_path / spec.key
    own.mkdir()
    (own / "model_index.json").write_text("{}", encoding="utf-8")
    assert folder_on_disk(tmp_path, tmp_path / "hub", spec) == own
