"""The promises of the documents are in the code, and the other way round."""

import re
from pathlib import Path

import pytest

from core.cli.main import parser
from core.domain.modes import MODES
from core.families.registry import MODELS, SCHEDULERS
from core.jobs.queue import ledger
from core.settings import SETTINGS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def commands() -> list[str]:
    actions = [action for action in parser()._actions if action.dest == "command"]
    return list(actions[0].choices)


def test_the_readme_is_short_and_shows_the_screens():
    assert len(README.splitlines()) <= 200
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert len(pictures) >= 2
    for picture in pictures:
        assert (ROOT / picture).is_file(), picture


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda row: row.name)
def test_every_setting_is_in_the_readmes_table(setting):
    row = next((line for line in README.splitlines() if line.startswith(f"| `{setting.name}`")), "")
    assert setting.help.rstrip(".") in row, f"{setting.name}: {setting.help}"


@pytest.mark.parametrize("key", MODELS)
def test_every_model_is_in_the_readmes_table_with_its_defaults_and_licence(key):
    spec = MODELS[key]
    row = next((line for line in README.splitlines() if line.startswith(f"| `{key}`")), "")
    for word in (f"{spec.defaults.width}×{spec.defaults.height}", str(spec.defaults.num_frames),
                 str(spec.defaults.num_inference_steps), spec.licence):
        assert word in row, (key, word)


@pytest.mark.parametrize("command", commands())
def test_every_command_is_documented(command):
    text = (ROOT / "docs" / "command_line.md").read_text(encoding="utf-8")
    assert f"python -m core {command}" in text


@pytest.mark.parametrize("key", SCHEDULERS)
def test_every_scheduler_is_documented(key):
    assert f"`{key}`" in (ROOT / "docs" / "command_line.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("key", MODES)
def test_every_mode_is_documented(key):
    assert f"`{key}`" in (ROOT / "docs" / "command_line.md").read_text(encoding="utf-8")
    assert f"`{key}`" in (ROOT / "docs" / "engine.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("state", ledger.STATES)
def test_every_state_of_a_job_is_documented(state):
    assert f"`{state}`" in (ROOT / "docs" / "queue.md").read_text(encoding="utf-8")


def test_the_file_tree_of_the_readme_is_the_file_tree():
    named = set(re.findall(r"^\s*([\w./]+\.py)\s", README, flags=re.MULTILINE))
    assert {"streamlit_app.py"} <= named
    stems = {path.name for path in ROOT.rglob("*.py") if ".venv" not in path.parts}
    for name in named:
        assert Path(name).name in stems, name


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_inside_the_repository_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#\s]+)\)", path.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (path.parent / target).exists(), f"{path.name} → {target}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_scripts_named_in_the_documents_exist(path):
    for name in re.findall(r"\bscripts/[\w/]+(?:\.py)?", path.read_text(encoding="utf-8")):
        assert (ROOT / name).exists(), f"{path.name}: {name}"


def test_the_architecture_page_names_every_folder_of_core_and_only_paths_that_exist():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    inline = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    named = {word for word in re.findall(r"`([^`\n]+)`", inline) if "/" in word}
    assert not [path for path in sorted(named) if not (ROOT / path).exists()]
    folders = {f"{path.parent.relative_to(ROOT)}/" for path in (ROOT / "core").rglob("*.py")} - {"core/"}
    assert not folders - named
