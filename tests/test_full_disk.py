"""A disk that is slow, and one that is really full: a small file system in memory, where one may be mounted.

`tests/test_library.py` limits the size of single files instead, which works everywhere.
"""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import samples
from samples import mp4, video

from core.library.library import Library
from core.library.search.query import Query

ROOT = Path(__file__).resolve().parent.parent
UNSHARE = shutil.which("unshare")

FILLED = """
import sys
sys.path.insert(0, "tests")
from dataclasses import replace
from pathlib import Path
import numpy as np
from samples import video, with_recipe
from core.errors import DiskFull, StudioError
from core.library import folder_exchange
from core.library.library import Library, Query
from core.library.media.export_formats import EXPORT_FORMATS
from core.library.storage.derived_files import DerivedFiles
disk, aside = Path(sys.argv[1]), Path(sys.argv[2])
library = Library(disk / "data", writable=True)
noise = np.random.default_rng(0)
kept = {}
def make(number):
    frames = noise.integers(0, 256, (4, 64, 64, 3), np.uint8)
    return with_recipe(video(f"number {number}", num_frames=4, id=f"20261122-{number:06d}-abcdef"), frames)
for number in range(400):
    new, data = make(number)
    try:
        kept[new.id] = library.publish(new, data)
    except DiskFull as error:
        assert "There is no room left" in str(error), error
        break
else:
    raise AssertionError("it never filled up")
(aside / "copy.mp4").write_bytes(data)
def whole(opened):
    assert {each.id for each in opened.search(Query(page_size=500)).entries} == set(kept), "lost or half kept"
    assert opened.search(Query(page_size=500)).damaged == () and opened.verify() == []
    parts = [path.name for path in disk.rglob("*.part")]
    assert parts == [], parts
whole(library)
left = (disk / "fill").open("wb", buffering=0)
try:
    while True:
        left.write(bytes(4096))
except OSError:
    pass
first, last = min(kept), max(kept)
refused = 0
for action in (lambda: library.change(first, tags=["x" * 60]), lambda: library.import_mp4(aside / "copy.mp4"),
               lambda: list(folder_exchange.export(library, [first], disk / "out")),
               lambda: DerivedFiles(disk / "derived").get("a.gif", lambda path: EXPORT_FORMATS["gif"].make(
                 kept[first], library.mp4_path(first), path, lambda done, total: None))):
    try:
        action()
    except DiskFull as error:
        refused += "There is no room left" in str(error)
assert refused == 4, refused
whole(library)
assert library.get(first) == kept[first]
library.close()
library = Library(disk / "data", writable=True)  # a start on a full disk
whole(library)
(disk / "fill").unlink()
for each in (first, last):
    library.delete(each)
    library.deleting.erase(each)
    del kept[each]
kept[new.id] = library.import_mp4(aside / "copy.mp4").video
whole(library)
library.close()
print("whole")
"""


@pytest.mark.skipif(UNSHARE is None, reason="unshare is not installed")
def test_a_full_disk_loses_and_halves_nothing_and_work_continues_when_there_is_room(tmp_path):
    disk, aside = tmp_path / "disk", tmp_path / "aside"
    disk.mkdir()
    aside.mkdir()
    allowed = subprocess.run([UNSHARE, "-rm", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)],
                             check=False, capture_output=True)
    if allowed.returncode != 0:
        pytest.skip("this machine lets nobody mount a file system in memory")
    script = 'mount -t tmpfs -o size=1m tmpfs "$1" && exec "$2" -W error -c "$3" "$1" "$4"'
    command = [UNSHARE, "-rm", "sh", "-c", script, "sh", str(disk), sys.executable, FILLED, str(aside)]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False,
                          env={**os.environ, "TMPDIR": str(aside)})
    assert done.returncode == 0, done.stderr
    assert done.stdout == "whole\n"


def test_a_slow_disk_delays_writers_and_no_readers(tmp_path, monkeypatch):
    library = Library(tmp_path, writable=True)
    first = library.publish(video("there already", id="20261122-000001-abcdef"), mp4()[0])
    slow, fsync = video("slow", id="20261122-000002-abcdef"), os.fsync
    waiting, go_on = threading.Event(), threading.Event()

    def wait_for_the_disk(file: int) -> None:
        waiting.set()
        assert go_on.wait(60)
        fsync(file)

    monkeypatch.setattr(os, "fsync", wait_for_the_disk)
    writer = threading.Thread(target=library.publish, args=(slow, mp4()[0]))
    writer.start()
    assert waiting.wait(60)
    reader = Library(tmp_path, writable=False)
    for looking in (library, reader):
        page = looking.search(Query())
        assert (samples.found(looking), page.damaged) == ((first,), ())
    assert reader.verify() == []  # a video on its way does not count as damage
    go_on.set()
    writer.join(60)
    assert samples.found(library) == (slow, first) == samples.found(reader)
    assert library.verify() == []
    library.close()
    reader.close()
