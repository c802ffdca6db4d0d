"""A library goes into a folder and comes out of it in another studio: complete, once, with tags and favourites."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import samples
from filelock import FileLock, Timeout
from samples import IDENTICAL, foreign, moving, mp4, video, with_recipe

from core.domain.video import Video
from core.errors import BadRequest, ReadOnly
from core.library import folder_exchange as exchange
from core.library.folder_exchange import TransferStep
from core.library.library import Library
from core.library.search.query import Query
from core.settings import Settings
from core.studio import Studio, open_studio

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def studio(tmp_path):
    with open_studio(Settings.from_env({}, data_dir=tmp_path / "here"), "visit") as opened:
        yield opened


@pytest.fixture
def other(tmp_path):
    with open_studio(Settings.from_env({}, data_dir=tmp_path / "there"), "visit") as opened:
        yield opened


def keep(studio: Studio, *videos: tuple[Video, bytes]) -> list[Video]:
    library = Library(studio.settings.data_dir, writable=True)
    kept = [library.publish(made, data) for made, data in videos]
    library.close()
    return kept


def made(prompt: str, shift: int = 0, **changes: object) -> tuple[Video, bytes]:
    """A video with its own frames, and a receipt of them."""
    frames = moving(8 + shift)
    plain = video(prompt, num_frames=8 + shift, **changes)
    receipt = replace(plain.receipt, frames_sha256=f"{shift:064x}")
    return with_recipe(replace(plain, receipt=receipt), frames)


def outcomes(steps) -> Counter:
    return Counter(step.outcome for step in steps)


def listed(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_library_arrives_complete_in_another_studio_and_only_once(studio, other, tmp_path):
    first, second = keep(studio, made("a red ball", 1, tags=("mine",)), made("snow", 2, favorite=True))
    child, = keep(studio, (replace(second, id="20261123-000000-abcdef", parent=second.id, verdict=IDENTICAL),
                           studio.library.mp4_path(second.id).read_bytes()))
    alien = studio.transfer.import_mp4(foreign(tmp_path / "sea.mp4"), unknown=True).video
    steps = list(studio.transfer.export(Query(), tmp_path / "folder"))
    assert outcomes(steps) == {"copied": 4} and [step.number for step in steps] == [1, 2, 3, 4]
    assert len(listed(tmp_path / "folder")) == 9
    rows = {row["id"]: row for row in json.loads((tmp_path / "folder" / "manifest.json").read_bytes())["videos"]}
    assert rows[first.id]["frames_sha256"] == first.receipt.frames_sha256 and len(rows) == 4
    assert outcomes(other.transfer.import_folder(tmp_path / "folder")) == {"added": 4}
    for each in (first, second, child, alien):
        assert other.video(each.id) == each  # the regeneration too, although its frames are its parent's
    assert other.verify() == [] and other.search(Query(recipe=False)).total == 1
    assert outcomes(other.transfer.import_folder(tmp_path / "folder")) == {"here": 4}
    assert other.search(Query()).total == 4


def test_the_folder_is_a_library_that_a_studio_opens(studio, tmp_path):
    first, second = keep(studio, made("a red ball", 1, tags=("mine",)), made("snow", 2))
    list(studio.transfer.export(Query(), tmp_path / "folder"))
    opened = Library(tmp_path / "folder", writable=True)
    assert [opened.get(each.id) for each in (first, second)] == [first, second] and opened.verify() == []
    opened.close()


def test_a_filtered_part_is_exported_and_more_is_added_to_it(studio, tmp_path):
    red, snow = keep(studio, made("a red ball", 1), made("snow", 2))
    folder = tmp_path / "folder"
    assert outcomes(studio.transfer.export(Query("red"), folder)) == {"copied": 1}
    assert outcomes(studio.transfer.export(Query(), folder)) == {"there": 1, "copied": 1}
    assert {row["id"] for row in exchange.manifest(folder)["videos"]} == {red.id, snow.id}
    studio.change(red.id, tags=("new",))
    assert outcomes(studio.transfer.export(Query("red"), folder)) == {"there": 1}
    (beside,) = folder.rglob(f"{red.id}.json")
    assert json.loads(beside.read_bytes())["tags"] == ["new"]
    assert {row["id"] for row in exchange.manifest(folder)["videos"]} == {red.id, snow.id}


def test_tags_and_favourites_are_joined_and_nothing_is_lost(studio, other, tmp_path):
    kept, = keep(studio, made("a red ball", 1, tags=("theirs", "both"), favorite=True))
    keep(other, (replace(kept, tags=("both", "mine"), favorite=False),
                 studio.library.mp4_path(kept.id).read_bytes()))
    list(studio.transfer.export(Query(), tmp_path / "folder"))
    assert outcomes(other.transfer.import_folder(tmp_path / "folder")) == {"here": 1}
    assert other.video(kept.id).tags == ("both", "mine", "theirs") and other.video(kept.id).favorite


def test_the_same_frames_under_another_id_are_not_added_again(studio, other, tmp_path):
    twin, different = keep(studio, made("a red ball", 1, tags=("theirs",)), made("a red ball", 2))
    here, = keep(other, made("a red ball", 1))
    assert here.id != twin.id and here.receipt.frames_sha256 == twin.receipt.frames_sha256
    list(studio.transfer.export(Query(), tmp_path / "folder"))
    assert outcomes(other.transfer.import_folder(tmp_path / "folder")) == {"here": 1, "added": 1}
    assert other.video(here.id).tags == ("theirs",)
    assert {each.id for each in samples.found(other)} == {here.id, different.id}


def test_a_damaged_file_is_refused_with_its_reason_and_the_rest_is_imported(studio, other, tmp_path):
    good, flipped, gone, lost = keep(studio, *(made(f"number {n}", n) for n in range(1, 5)))
    path = studio.library.mp4_path(flipped.id)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    studio.library.mp4_path(gone.id).unlink()
    folder = tmp_path / "folder"
    steps = {step.name: step for step in studio.transfer.export(Query(), folder)}
    assert "SHA-256" in steps[flipped.id].reason and "missing" in steps[gone.id].reason
    assert outcomes(steps.values()) == {"copied": 2, "refused": 2}
    assert not list(folder.rglob("*.part")) and not list(folder.rglob(f"{flipped.id}*"))
    (mp4_there,) = folder.rglob(f"{lost.id}.mp4")
    mp4_there.unlink()
    (folder / "stray.mp4").write_bytes(b"text")
    broken, = folder.rglob(f"{good.id}.json")
    broken.write_bytes(b"{")
    foreign(folder / "sea.mp4")
    refused = {step.name: step.reason for step in other.transfer.import_folder(folder)}
    assert set(refused) == {f"{good.id}.mp4", lost.id, "stray.mp4", "sea.mp4"}
    assert "sidecar is incomplete" in refused[f"{good.id}.mp4"] and "manifest" in refused[lost.id]
    assert "no video" in refused["stray.mp4"] and "not made by this studio" in refused["sea.mp4"]
    assert other.search(Query()).total == 0
    broken.unlink()  # now the settings inside the MP4 count
    again = outcomes(other.transfer.import_folder(folder, unknown=True))
    assert again == {"added": 2, "refused": 2}
    assert other.video(good.id) == good


@pytest.mark.parametrize("spoil", [b"", b"{", b"[]", b'{"format": 1}',
                                   b'{"format": 1, "complete": 1, "videos": 3}',
                                   b'{"format": 1, "complete": 1, "videos": [{"id": "../../x"}]}'])
def test_a_damaged_manifest_loses_nothing(studio, other, tmp_path, spoil):
    keep(studio, made("a red ball", 1))
    folder = tmp_path / "folder"
    list(studio.transfer.export(Query(), folder))
    (folder / "manifest.json").write_bytes(spoil)
    assert outcomes(other.transfer.import_folder(folder)) == {"added": 1}
    assert outcomes(studio.transfer.export(Query(), folder)) == {"there": 1}
    assert len(exchange.manifest(folder)["videos"]) == 1


def test_a_folder_of_a_newer_studio_is_not_misread(other, tmp_path):
    (tmp_path / "manifest.json").write_text('{"format": 2, "videos": {}}')
    with pytest.raises(ReadOnly, match="newer studio"):
        list(other.transfer.import_folder(tmp_path))


def test_folders_that_are_not_for_exports_are_refused_before_anything_is_written(studio, other, tmp_path):
    keep(studio, made("a red ball", 1))
    keep(other, made("a red ball", 1))
    full, file = tmp_path / "full", tmp_path / "file"
    full.mkdir()
    (full / "thesis.txt").write_text("x")
    file.write_text("x")
    here = studio.settings.data_dir
    for folder, words in ((here, "itself lies"), (here / "library" / "x", "itself lies"), (full, "not empty"),
                          (file, "is a file"), (other.settings.data_dir, "data folder of a studio")):
        before = listed(tmp_path)
        with pytest.raises(BadRequest, match=words):
            list(studio.transfer.export(Query(), folder))
        assert listed(tmp_path) == before
    with pytest.raises(BadRequest, match="no folder"):
        list(other.transfer.import_folder(tmp_path / "nothing"))


def test_a_stopped_export_is_gone_on_with(studio, tmp_path):
    keep(studio, *(made(f"number {n}", n) for n in range(1, 4)))
    folder = tmp_path / "folder"
    steps = studio.transfer.export(Query(), folder)
    assert next(steps).outcome == "copied"
    steps.close()
    assert not exchange.manifest(folder)["complete"] and not list(folder.rglob("*.part"))
    assert outcomes(studio.transfer.export(Query(), folder)) == {"there": 1, "copied": 2}
    assert exchange.manifest(folder)["complete"]


KILLED = """
import os, signal, sys
from pathlib import Path
from core.library import folder_exchange as exchange
from core.library.library import Library
library = Library(Path(sys.argv[1]), writable=False)
from core.library.search.query import Query
poured = exchange._pour
def pour(*args):
    poured(*args)
    if sys.argv[3] in str(args[1]):
        os.kill(os.getpid(), signal.SIGKILL)
exchange._pour = pour
for step in exchange.export(library, library.found(Query()), Path(sys.argv[2])):
    pass
"""


def test_an_export_that_is_killed_leaves_no_half_file_under_a_final_name(studio, other, tmp_path):
    kept = keep(studio, *(made(f"number {n}", n, id=f"20261122-00000{n}-abcdef") for n in range(1, 4)))
    folder = tmp_path / "folder"
    done = subprocess.run([sys.executable, "-c", KILLED, str(studio.settings.data_dir), str(folder), kept[1].id],
                          cwd=ROOT, check=False, env=dict(os.environ))
    assert done.returncode == -signal.SIGKILL
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    assert outcomes(other.transfer.import_folder(copy)) == {"added": 1}
    assert outcomes(studio.transfer.export(Query(), folder)) == {"there": 1, "copied": 2}
    assert not list(folder.rglob("*.part"))
    assert outcomes(other.transfer.import_folder(folder)) == {"here": 1, "added": 2} and other.verify() == []


def test_a_file_that_was_here_but_damaged_is_healed(studio, other, tmp_path):
    kept, = keep(studio, made("a red ball", 1))
    list(studio.transfer.export(Query(), tmp_path / "folder"))
    list(other.transfer.import_folder(tmp_path / "folder"))
    other.library.mp4_path(kept.id).write_bytes(b"x")
    assert outcomes(other.transfer.import_folder(tmp_path / "folder")) == {"healed": 1}
    assert other.verify() == []


def test_links_are_not_followed(other, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.mp4").write_bytes(with_recipe(video())[1])
    (tmp_path / "folder" / "b.mp4").symlink_to(tmp_path / "a.mp4")
    (tmp_path / "folder" / "c").symlink_to(tmp_path)
    assert list(other.transfer.import_folder(tmp_path / "folder")) == []


def test_an_mp4_without_settings_inside_is_known_by_its_sidecar(studio, other, tmp_path):
    """As a studio made them before the settings were inside: the sidecar names the very bytes."""
    kept, = keep(studio, (video(), mp4()[0]))
    list(studio.transfer.export(Query(), tmp_path / "folder"))
    steps = list(other.transfer.import_folder(tmp_path / "folder"))
    assert steps == [TransferStep(1, 1, f"{kept.id}.mp4", "added")]


def test_videos_in_the_trash_of_a_library_are_not_imported(studio, other):
    kept, gone = keep(other, made("kept"), made("deleted", 1))
    other.delete(gone.id)
    assert [found.video for found in exchange.find(other.settings.data_dir)] == [kept]
    assert [found.video for found in exchange.find(other.library.trash.root)] == [gone]


def test_the_library_is_owned_from_the_first_to_the_last_file_of_an_import_and_let_go_then(
        studio, other, tmp_path, monkeypatch):
    monkeypatch.setattr("core.operations.import_export.BATCH_FILES", 1)
    first, second, third = keep(studio, made("a red ball", 1), made("snow", 2), made("fog", 3))
    list(studio.transfer.export(Query(), tmp_path / "folder"))
    lock = FileLock(other.settings.data_dir / "studio.lock")
    steps = other.transfer.import_folder(tmp_path / "folder")
    arrived = next(steps).name.removesuffix(".mp4")
    with pytest.raises(Timeout):
        lock.acquire(timeout=0)
    owned = other._leadership._own
    other.change(arrived, tags=("meanwhile",))  # it changes a video here, and still owns the library
    assert next(steps).outcome == "added" and other._leadership._own is owned
    steps.close()  # left before the end
    lock.acquire(timeout=0)
    lock.release()
    assert outcomes(other.transfer.import_folder(tmp_path / "folder")) == {"here": 2, "added": 1}
    assert other.video(arrived).tags == ("meanwhile",)
    assert {each.id for each in samples.found(other)} == {first.id, second.id, third.id}
    assert other.verify() == []
