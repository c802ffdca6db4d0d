"""The studio without a browser, as a script calls it: real processes, one JSON document on stdout."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.library.search.query import Query

ROOT = Path(__file__).resolve().parent.parent
ASKED = set(Query.__dataclass_fields__) - {"page", "page_size", "around"}
SMALL = ["--num-frames", "4", "--num-inference-steps", "2", "--width", "32", "--height", "32", "--seed", "7"]


@pytest.fixture(scope="module")
def core(tmp_path_factory, models_dir):
    """Run `python -m core …` on one data directory; returns the finished process."""
    data = tmp_path_factory.mktemp("data")
    environ = {**os.environ, "T2V_MODELS_DIR": str(models_dir), "T2V_MODEL": "tiny", "T2V_DEVICE": "cpu"}

    def run(*arguments: str, data_dir: Path = data) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, "-m", "core", "--data-dir", str(data_dir), *arguments], cwd=ROOT,
                              env=environ, capture_output=True, text=True, timeout=120, check=False)
    return run


@pytest.fixture(scope="module")
def made(core):
    done = core("generate", "a red ball", *SMALL, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_generate_prints_the_sidecar_and_the_path(made):
    path = Path(made["path"])
    assert path.is_file() and path.suffix == ".mp4"
    sidecar = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert {name: value for name, value in made.items() if name != "path"} == sidecar
    assert made["request"]["seed"] == 7 and made["schema"] == 1


def test_regenerate_prints_identical(core, made):
    done = core("regenerate", made["id"], "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 0 and document["verdict"] == "identical" and document["causes"] == []
    assert document["parent"] == made["id"] and Path(document["path"]).is_file()


def test_list_show_models_and_verify_speak_json(core, made):
    assert made["id"] in [row["id"] for row in json.loads(core("list", "--json", "--search", "ball").stdout)]
    assert json.loads(core("list", "--json", "--search=-ball").stdout) == []
    assert json.loads(core("show", made["id"], "--json").stdout)["request"] == made["request"]
    assert {"demo", "modelscope-1.7b", "zeroscope-576w", "tiny"} <= {
        row["key"] for row in json.loads(core("models", "--json").stdout)}
    checked = core("verify", "--json")
    assert checked.returncode == 0 and json.loads(checked.stdout) == []


def test_an_mp4_is_imported_verified_and_a_flipped_byte_found(core, made, tmp_path):
    done = core("import", made["path"], "--json", data_dir=tmp_path)
    copy = Path(json.loads(done.stdout)["path"])
    assert done.returncode == 0 and json.loads(done.stdout)["request"] == made["request"]
    content = bytearray(copy.read_bytes())
    content[len(content) // 2] ^= 1
    copy.write_bytes(content)
    checked = core("verify", "--json", data_dir=tmp_path)
    assert checked.returncode == 1 and json.loads(checked.stdout)[0]["id"] == made["id"]


def test_a_library_is_exported_and_imported_elsewhere(core, made, tmp_path):
    done = core("export", str(tmp_path / "out"), "--search", "red", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["total"] == json.loads(done.stdout)["copied"] >= 1
    done = core("import", str(tmp_path / "out"), "--json", data_dir=tmp_path / "data")
    assert done.returncode == 0 and json.loads(done.stdout)["added"] >= 1
    assert json.loads(core("show", made["id"], "--json", data_dir=tmp_path / "data").stdout)["id"] == made["id"]
    (tmp_path / "out" / "stray.mp4").write_text("text")
    done = core("import", str(tmp_path / "out"), data_dir=tmp_path / "data")
    assert done.returncode == 1 and "stray.mp4: The file is no video" in done.stderr and "refused" in done.stdout
    assert core("export", str(tmp_path / "data"), data_dir=tmp_path / "data").returncode == 2


def test_the_index_is_made_again_and_a_video_deleted(core, made, tmp_path):
    core("import", made["path"], data_dir=tmp_path)
    (tmp_path / "index.json").unlink()
    assert core("reindex", "--json", data_dir=tmp_path).returncode == 0
    assert [row["id"] for row in json.loads(core("list", "--json", data_dir=tmp_path).stdout)] == [made["id"]]
    assert core("delete", made["id"], data_dir=tmp_path).returncode == 0
    assert json.loads(core("list", "--json", data_dir=tmp_path).stdout) == []
    (trashed,) = json.loads(core("trash", "--json", data_dir=tmp_path).stdout)["videos"]
    assert (trashed["id"], trashed["prompt"]) == (made["id"], made["request"]["prompt"])
    back = json.loads(core("restore", made["id"], "--json", data_dir=tmp_path).stdout)
    assert back["request"] == made["request"] and Path(back["path"]).is_file()
    assert core("delete", made["id"], "--for-good", data_dir=tmp_path).returncode == 0
    assert json.loads(core("trash", "--json", data_dir=tmp_path).stdout)["total"] == 0
    assert not list(tmp_path.rglob("*.mp4"))


@pytest.fixture(scope="module")
def two(core, made, tmp_path_factory):
    """A data directory with two videos, and their ids."""
    folder = tmp_path_factory.mktemp("two")
    other = json.loads(core("generate", "a blue square", *SMALL, "--json", data_dir=folder).stdout)
    core("import", made["path"], data_dir=folder)
    return folder, [made["id"], other["id"]]


def listed(core, folder, *search: str) -> list[str]:
    done = core("list", *search, "--json", data_dir=folder)
    assert done.returncode == 0, done.stderr
    return [row["id"] for row in json.loads(done.stdout)]


def test_several_videos_are_tagged_deleted_and_brought_back_at_once(core, two):
    folder, ids = two
    done = core("tag", *ids, "--add", "night", "--add", "to redo", "--favorite", "--json", data_dir=folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"action": "change", "total": 2, "done": 2, "refused": []}
    assert sorted(listed(core, folder, "--tag", "night", "--tag", "to redo", "--favorite")) == sorted(ids)
    assert core("tag", ids[0], "--remove", "night", "--no-favorite", data_dir=folder).stdout == "1 of 1 done.\n"
    assert listed(core, folder, "--tag", "night") == listed(core, folder, "--favorite") == ids[1:]
    assert core("tag", ids[0], data_dir=folder).returncode == 2  # nothing to do
    unknown = core("delete", ids[0], "20260101-000000-000000", "../x", data_dir=folder)
    assert unknown.returncode == 1 and "Nothing was done" in unknown.stderr and len(listed(core, folder)) == 2
    assert core("delete", *ids, data_dir=folder).stdout == "2 of 2 done.\n" and listed(core, folder) == []
    assert json.loads(core("trash", "--json", data_dir=folder).stdout)["total"] == 2
    assert json.loads(core("restore", *ids, "--json", data_dir=folder).stdout)["done"] == 2
    assert listed(core, folder, "--tag", "to redo", "--sort", "prompt") == ids[::-1]
    core("delete", ids[0], data_dir=folder)
    assert core("delete", *ids, "--for-good", data_dir=folder).returncode == 0  # one here, one in the trash
    assert listed(core, folder) == [] and not list(folder.rglob("*.mp4"))


def test_a_search_is_saved_used_renamed_and_forgotten(core, two):
    folder, _ = two
    refused = core("save-search", "nothing", data_dir=folder)
    assert refused.returncode == 2 and "is empty" in refused.stderr
    saved = core("save-search", "balls", "--search", "ball -snow", "--seed", "7", "--json", data_dir=folder)
    query = {"text": "ball -snow", "seed": 7}
    assert json.loads(saved.stdout)["query"] == query, saved.stderr
    assert json.loads(core("searches", "--json", data_dir=folder).stdout) == [{"name": "balls", "query": query}]
    assert core("rename-search", "balls", "red ones", data_dir=folder).returncode == 0
    again = core("save-search", "more", "--saved", "red ones", "--from", "2026-01-01", "--json", data_dir=folder)
    assert json.loads(again.stdout)["query"] == {**query, "date_from": "2026-01-01"}
    assert core("list", "--saved", "balls", data_dir=folder).returncode == 1
    for day in ("yesterday", "20260101", "2026-W01"):
        assert core("list", "--from", day, data_dir=folder).returncode == 2
    for count in ("0", "-1", "many"):
        assert "is not a whole number from 1" in core("trash", "--limit", count, data_dir=folder).stderr
    assert core("list", "--sort", "best", data_dir=folder).returncode == 2
    assert core("delete-search", "red ones", data_dir=folder).returncode == 0
    assert [row["name"] for row in json.loads(core("searches", "--json", data_dir=folder).stdout)] == ["more"]


def test_every_field_of_a_search_can_be_asked_for(core, two):
    every = ["--search", "a", "--negative-prompt", "b", "--model", "m", "--seed", "1", "--num-frames", "2",
             "--num-inference-steps", "3", "--guidance-scale", "4.5", "--fps", "5", "--width", "6", "--height",
             "7", "--scheduler", "ddim", "--mode", "exact", "--lora", "l", "--owner", "o", "--parent", "p",
             "--verdict", "drifted", "--favorite", "--no-recipe", "--damaged", "--tag", "t", "--sort", "seed",
             "--from", "2026-01-01", "--to", "2026-01-02"]
    done = core("save-search", "every", *every, "--json", data_dir=two[0])
    assert set(json.loads(done.stdout)["query"]) == ASKED, done.stderr
    assert core("list", *every, "--json", data_dir=two[0]).stdout == "[]\n"


@pytest.mark.parametrize("arguments", [
    ("generate", ""), ("generate", "a", "--num-frames", "999"), ("generate", "a", "--model", "nope"),
    ("generate", "a", "--num-frames", "many"), ("generate",), ("unknown-command",),
])
def test_bad_input_exits_with_2_and_says_why_on_stderr(core, arguments, tmp_path):
    done = core(*arguments, data_dir=tmp_path)
    assert done.returncode == 2 and done.stdout == "" and len(done.stderr) > 20
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [
    ("show", "20260101-000000-000000"), ("show", "../../etc/passwd"), ("delete", "20260101-000000-000000"),
    ("regenerate", "20260101-000000-000000"), ("import", "no-such-file.mp4"), ("import", str(ROOT / "README.md")),
])
def test_a_missing_thing_exits_with_1_and_a_sentence(core, arguments, tmp_path):
    done = core(*arguments, "--json", data_dir=tmp_path)
    assert done.returncode == 1 and done.stdout == "" and "Traceback" not in done.stderr
    assert len(done.stderr.strip()) > 20


def test_doctor_says_what_is_here_and_how_to_mend(core, tmp_path):
    checks = {row["name"]: row for row in json.loads(core("doctor", "--json", data_dir=tmp_path).stdout)}
    assert {"Python", "torch", "CUDA", "FFmpeg", "Disk", "Model tiny", "Data folder"} <= set(checks)
    assert checks["torch"]["ok"] and "2.13.0" in checks["torch"]["found"]
    missing = checks["Model demo"]
    assert not missing["ok"] and "data/models/demo" in missing["mend"]


def test_an_audition_is_deleted_with_its_sheet_and_what_was_finished_from_it_stays(core):
    short = ["--seeds", "2", "--audition-steps", "1"]
    tried = json.loads(core("audition", "a red ball", *SMALL, *short, "--json").stdout)
    finished = json.loads(core("finish", tried["id"], str(tried["seeds"][1]), "--json").stdout)
    assert Path(tried["path"]).is_file()
    deleted = core("delete-audition", tried["id"], "--json")
    assert (deleted.returncode, json.loads(deleted.stdout)) == (0, {"deleted": tried["id"]})
    assert not Path(tried["path"]).exists() and Path(finished["path"]).is_file()
    for gone in (core("delete-audition", tried["id"]), core("delete-audition", finished["id"])):
        assert gone.returncode == 1 and "is no audition that has ended" in gone.stderr
    assert core("finish", tried["id"], "7").returncode == 1
    core("delete", finished["id"], "--for-good")
