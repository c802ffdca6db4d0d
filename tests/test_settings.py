"""The environment is read once, and refused in words when it is wrong."""

import pytest

from core.errors import BadRequest
from core.settings import SETTINGS, Settings


def test_an_empty_environment_gives_the_defaults():
    settings = Settings.from_env({})
    assert settings.device == "auto" and settings.preload and not settings.offline
    assert settings.models_dir.is_absolute() and (settings.models_dir.name == "models")


def test_overrides_win_and_none_is_no_override(tmp_path):
    settings = Settings.from_env({"T2V_DATA_DIR": "/elsewhere"}, data_dir=tmp_path, model=None)
    assert settings.data_dir == tmp_path.resolve() and settings.model == ""


@pytest.mark.parametrize(("name", "value"), [("T2V_DEVICE", "gpu"), ("T2V_OFFLINE", "maybe"),
                                             ("T2V_MEMORY", "little"), ("T2V_DEVICE", "cuda:²"),
                                             ("T2V_TRASH_DAYS", "1000000"), ("T2V_MAX_QUEUED", "1" + "0" * 23),
                                             ("T2V_MAX_QUEUED", "-1"), ("T2V_MIN_FREE_MB", "much")])
def test_a_wrong_value_is_refused_by_its_name(name, value):
    with pytest.raises(BadRequest) as refused:
        Settings.from_env({name: value})
    assert refused.value.field == name and repr(value) in str(refused.value)


def test_a_text_that_is_no_number_is_refused_as_such():
    with pytest.raises(BadRequest, match="'many' is not a whole number"):
        Settings.from_env({"T2V_MAX_QUEUED": "many"})
    assert Settings.from_env({"T2V_MAX_QUEUED": " 7 "}).max_queued == 7


def test_an_empty_variable_means_the_default():
    assert Settings.from_env({row.name: "" for row in SETTINGS}) == Settings.from_env({})


def test_a_child_process_gets_the_same_settings(tmp_path):
    settings = Settings.from_env({"T2V_DEVICE": "cpu", "T2V_OFFLINE": "1"}, data_dir=tmp_path)
    assert Settings.from_env(settings.environ()) == settings
    assert set(settings.environ()) == {row.name for row in SETTINGS}
