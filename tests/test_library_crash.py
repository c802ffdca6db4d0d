"""kill -9 at every point of publish, change, delete, restore and erase.

A video is complete in one place or absent, and the next try succeeds."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import samples
from samples import IDENTICAL, mp4, video

from core import faults
from core.domain.video import Video
from core.library.library import Library
from core.library.media import clip
from core.library.search.query import Query

ROOT = Path(__file__).resolve().parent.parent
OLD = video("an old one", id="20261122-000001-abcdef", tags=("kept",), favorite=True, verdict=IDENTICAL,
            parent="20261121-000001-abcdef")
NEW = video("a new one", id="20261122-000002-abcdef", tags=("born with it",))

DEED = """
import json, sys
from pathlib import Path
from core.library.library import Library
from core.domain.video import Video
folder, deed = Path(sys.argv[1]), sys.argv[2]
library = Library(folder / "data", writable=True, trash_days=0 if deed == "delete" else 30)
if deed == "publish":
    document = json.loads((folder / "new.json").read_bytes())
    library.publish(Video.from_document(document), (folder / "new.mp4").read_bytes())
elif deed == "change":
    library.change(sys.argv[3], tags=["changed"], favorite=False)
else:
    library.delete(sys.argv[3])
    if deed == "restore":
        library.deleting.restore(sys.argv[3])
    if deed == "erase":
        library.deleting.erase(sys.argv[3])
library.close()
"""


@pytest.fixture(scope="module")
def before(tmp_path_factory) -> Path:
    """A data directory with one video, and a second one on its way."""
    folder = tmp_path_factory.mktemp("before")
    library = Library(folder / "data", writable=True)
    library.publish(OLD, mp4()[0])
    library.close()
    (folder / "new.json").write_text(json.dumps(NEW.document()), encoding="utf-8")
    (folder / "new.mp4").write_bytes(mp4()[0])
    return folder


def run(folder: Path, action: str, fault: str) -> int:
    return subprocess.run([sys.executable, "-c", DEED, str(folder), action, OLD.id], cwd=ROOT, check=False,
                          env={**os.environ, "T2V_FAULT": fault}).returncode


def promises_hold(library: Library) -> list[Video]:
    """No MP4 without a sidecar, no row without a playable file, nothing half-written; also in the trash.

    No video is in both. Returns the videos of the library, newest first.
    """
    def whole(names: list[str]) -> set[str]:
        ids = {name.partition(".")[0] for name in names}
        suffixes = (".mp4", ".json", ".poster.webp", ".animation.webp")
        assert sorted(names) == sorted(id + suffix for id in ids for suffix in suffixes)
        return ids

    paths = [path for path in (library.data_dir / "library").rglob("*") if path.is_file()]
    trashed = whole([path.name for path in paths if "trash" in path.parts])
    ids = whole([path.name for path in paths if "trash" not in path.parts])
    assert {each.id for each in library.trash.page().videos} == trashed and not trashed & ids
    for each in library.trash.page().videos:
        assert each.video is not None and each.bytes == each.video.result.bytes
        assert len(clip.read(library.trash.path(each.id, ".mp4")).frames) == 8
    page = library.search(Query())
    assert {each.id for each in page.entries} == ids and page.damaged == ()
    assert library.verify() == []
    for each in page.entries:
        assert len(clip.read(library.mp4_path(each.id)).frames) == 8
    return list(samples.found(library))


def opened(folder: Path) -> Library:
    return Library(folder / "data", writable=True)


@pytest.mark.parametrize("point", faults.LIBRARY_POINTS)
def test_a_process_killed_at_any_point_leaves_a_complete_library(before, tmp_path, point):
    folder = tmp_path / "copy"
    shutil.copytree(before, folder)
    action = point.partition(":")[0]
    assert run(folder, action, point) == -signal.SIGKILL, f"{point} is never reached"

    reader = Library(folder / "data", writable=False)
    for each in reader.search(Query()).entries:  # before any repair: a video not shown as damaged plays
        if each.id not in reader.search(Query()).damaged:
            clip.read(reader.mp4_path(each.id))
    reader.close()

    library = opened(folder)
    videos = promises_hold(library)
    if action == "publish":
        committed = point in ("publish:mp4", "publish:index")
        assert [each.id for each in videos] == ([NEW.id, OLD.id] if committed else [OLD.id])
        assert library.publish(NEW, mp4()[0]) == NEW
        assert promises_hold(library) == [NEW, OLD]
    elif action == "change":
        changed = point != "change:sidecar-part"
        assert (videos[0].tags, videos[0].favorite) == ((("changed",), False) if changed else (("kept",), True))
        assert library.search(Query("changed")).total == changed
        assert not library.change(OLD.id, tags=["changed"], favorite=False).favorite
        assert len(promises_hold(library)) == 1
    elif action == "delete":
        assert [each.id for each in videos] == ([OLD.id] if point == "delete:index" else [])
        assert not library.trash.has(OLD.id)
        assert library.publish(OLD, mp4()[0]) == OLD
    else:
        here = point in ("trash:index", "restore:mp4", "restore:index")
        assert videos == ([OLD] if here else [])
        assert library.trash.has(OLD.id) == (not here and action != "erase")
        if here:
            assert library.delete(OLD.id)
        if action == "erase":
            assert library.publish(OLD, mp4()[0]) == OLD
        else:
            assert library.deleting.restore(OLD.id) == OLD
        assert promises_hold(library) == [OLD]
    library.close()


def test_all_of_a_video_is_on_the_disk_before_any_of_it_has_its_name(before, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(before, folder)
    assert run(folder, "publish", "publish:parts") == -signal.SIGKILL
    left = {path.name: path.read_bytes() for path in (folder / "data").rglob(f"{NEW.id}*")}
    assert sorted(left) == sorted(f"{NEW.id}{suffix}.part"
                                  for suffix in (".mp4", ".json", ".poster.webp", ".animation.webp"))
    assert left[f"{NEW.id}.mp4.part"] == mp4()[0] and json.loads(left[f"{NEW.id}.json.part"]) == NEW.document()
    assert all(left[f"{NEW.id}.{kind}.webp.part"].startswith(b"RIFF") for kind in ("poster", "animation"))


@pytest.mark.parametrize("point", [*faults.TRASH, *faults.RESTORE, *faults.ERASE])
def test_trash_and_library_agree_also_when_the_index_is_older_than_the_crash(before, tmp_path, point):
    folder = tmp_path / "copy"
    shutil.copytree(before, folder)
    stale = (folder / "data" / "index.json").read_bytes()
    action = point.partition(":")[0]
    assert run(folder, action, point) == -signal.SIGKILL
    (folder / "data" / "index.json").write_bytes(stale)
    library = opened(folder)
    here = point in ("trash:index", "restore:mp4", "restore:index")
    assert promises_hold(library) == ([OLD] if here else []) and library.report.lost == 0
    library.close()


@pytest.mark.parametrize("point", faults.TRASH)
def test_a_second_deletion_cut_short_leaves_one_copy_in_the_trash(before, tmp_path, point):
    folder = tmp_path / "copy"
    shutil.copytree(before, folder)
    library = opened(folder)
    library.delete(OLD.id, datetime(2026, 1, 1, tzinfo=UTC))
    newer = replace(OLD, tags=("newer",))
    library.publish(newer, mp4()[0])
    library.close()
    assert run(folder, "trash", point) == -signal.SIGKILL
    library = opened(folder)
    if point == "trash:index":
        assert library.delete(OLD.id)
    assert promises_hold(library) == []
    assert len(list((folder / "data" / "library" / "trash").iterdir())) == 1
    assert library.deleting.restore(OLD.id) == newer
    library.close()


def test_a_process_that_is_not_told_to_die_finishes_the_change(before, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(before, folder)
    assert run(folder, "publish", "") == 0 and run(folder, "change", "publish:mp4") == 0
    library = opened(folder)
    assert library.report.sentences == ()
    assert [each.tags for each in promises_hold(library)] == [("born with it",), ("changed",)]
    library.close()


def test_a_crash_with_unwritten_rows_loses_none_of_them(before, tmp_path):
    """The index file is older than the files: what a crash before a late flush leaves."""
    folder = tmp_path / "copy"
    shutil.copytree(before, folder)
    stale = (folder / "data" / "index.json").read_bytes()
    assert run(folder, "publish", "") == 0 and run(folder, "change", "") == 0
    (folder / "data" / "index.json").write_bytes(stale)
    library = opened(folder)
    assert library.report.added == 2
    assert [each.tags for each in promises_hold(library)] == [("born with it",), ("changed",)]
    library.close()


@pytest.mark.parametrize("point", faults.DELETE[1:])
def test_a_delete_cut_short_is_finished_even_when_the_index_still_knows_the_video(before, tmp_path, point):
    folder = tmp_path / "copy"
    shutil.copytree(before, folder)
    stale = (folder / "data" / "index.json").read_bytes()
    assert run(folder, "delete", point) == -signal.SIGKILL
    (folder / "data" / "index.json").write_bytes(stale)
    library = opened(folder)
    assert promises_hold(library) == [] and library.report.lost == 0
    assert not (folder / "data" / "library" / "lost").exists()
    library.close()
