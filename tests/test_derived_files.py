"""The folder of derived files: each is made once, appears complete, and the folder stays bounded."""

import os
import shutil
import threading
from pathlib import Path

import pytest

from core.errors import Cancelled, DiskFull
from core.library.storage.derived_files import DerivedFiles


def writing(text: str, calls: list[str] | None = None):
    def make(path: Path) -> None:
        if calls is not None:
            calls.append(text)
        path.write_text(text)

    return make


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_made_once_and_again_when_the_folder_was_deleted(tmp_path):
    derived, calls = DerivedFiles(tmp_path / "derived"), []
    assert derived.find("a.gif") is None
    for _ in range(2):
        assert derived.get("a.gif", writing("first", calls)).read_text() == "first"
    assert derived.find("a.gif").read_text() == "first" and calls == ["first"]
    shutil.rmtree(tmp_path / "derived")
    assert derived.get("a.gif", writing("second", calls)).read_text() == "second"


def test_many_threads_make_it_once(tmp_path):
    derived, calls, start = DerivedFiles(tmp_path / "derived"), [], threading.Barrier(8)

    def ask() -> None:
        start.wait()
        derived.get("a.gif", writing("x", calls))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == ["x"] and names(tmp_path / "derived") == ["a.gif"]


def test_the_file_unused_for_longest_goes_and_the_newest_stays_however_large(tmp_path):
    derived = DerivedFiles(tmp_path / "derived", max_bytes=10)
    for age, name in ((300, "old.gif"), (200, "older.gif"), (100, "recent.gif")):
        path = derived.get(name, writing("xxx"))
        os.utime(path, (path.stat().st_atime - age, 1.0))
    derived.get("old.gif", writing("not made again"))  # used: now the youngest
    assert path.stat().st_mtime == 1.0  # what a browser has of it stays good
    derived.get("new.gif", writing("xxxx"))
    assert names(tmp_path / "derived") == ["new.gif", "old.gif", "recent.gif"]
    derived.get("huge.gif", writing("x" * 99))
    assert names(tmp_path / "derived") == ["huge.gif"]


@pytest.mark.parametrize("failure", [Cancelled(), DiskFull("full")])
def test_a_failure_half_way_leaves_nothing(tmp_path, failure):
    derived = DerivedFiles(tmp_path / "derived")

    def make(path: Path) -> None:
        path.write_text("half")
        raise failure

    with pytest.raises(type(failure)):
        derived.get("a.gif", make)
    assert names(tmp_path / "derived") == [] and derived.find("a.gif") is None


def test_files_of_a_dead_process_are_cleared_away_and_files_of_a_live_one_are_not(tmp_path):
    derived = DerivedFiles(tmp_path / "derived")
    derived.get("a.gif", writing("x"))
    dead, alive = tmp_path / "derived" / "b.gif.1-1.part", tmp_path / "derived" / "c.gif.2-2.part"
    for part in (dead, alive):
        part.write_text("half")
    os.utime(dead, (0, 0))
    derived.get("d.gif", writing("x"))
    assert names(tmp_path / "derived") == ["a.gif", "c.gif.2-2.part", "d.gif"]


@pytest.mark.parametrize("name", ["", "../a.gif", "/etc/passwd", "a/b", ".hidden", "A.gif", "a\0b"])
def test_a_name_that_could_be_a_path_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="no name"):
        DerivedFiles(tmp_path).find(name)
