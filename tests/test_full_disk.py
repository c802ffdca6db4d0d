"""A disk that is really full: a small file system in memory, where this machine allows to mount one.

`tests/test_library.py` limits the size of single files instead, which works everywhere.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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
from core.library import exchange
from core.library.derived import Derived
from core.library.library import Library, Query
from core.library.renditions import RENDITIONS
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
    assert {each.id for each in opened.search(Query(page_size=500)).videos} == set(kept), "lost or half kept"
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
for deed in (lambda: library.change(first, tags=["x" * 60]), lambda: library.import_mp4(aside / "copy.mp4"),
             lambda: list(exchange.export(library, [first], disk / "out")),
             lambda: Derived(disk / "derived").get("a.gif", lambda path: RENDITIONS["gif"].make(
                 kept[first], library.mp4_path(first), path, lambda done, total: None))):
    try:
        deed()
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
def test_a_disk_that_is_full_loses_and_halves_nothing_and_goes_on_when_there_is_room(tmp_path):
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
