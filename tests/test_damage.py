"""Which videos are damaged: asked of the disk once for a look, and never hidden for long."""

import os
import time
from pathlib import Path

import pytest
from samples import mp4, video

from core.library.library import Library
from core.library.search.damage import REMEMBERED_S, Damage
from core.library.storage.video_files import MP4, SIDECAR, VideoFiles


def fill(library: Library, count: int) -> list[str]:
    """The ids of some videos."""
    return [library.publish(video(id=f"20261122-{number:06d}-abcdef", seed=number), mp4()[0]).id
            for number in range(count)]


class Look:
    """Asks again and again, at a time that the test sets."""

    def __init__(self, library: Library) -> None:
        self.library, self.video_files, self.now = library, VideoFiles(library.data_dir / "library"), 0.0
        self._damage = Damage(self.video_files, lambda: self.now)

    def damaged(self, generation: int = 1) -> set[str]:
        return set(self._damage.among(self.library.entries(), generation))

    def settle(self, seconds: float = -3600) -> None:
        """As if names had come or gone that many seconds from now, and not since."""
        for folder in self.video_files.folders():
            os.utime(folder, (time.time() + seconds,) * 2)


def cut(path: Path) -> None:
    """Overwrite a file in its place: its folder does not change."""
    before = path.parent.stat().st_mtime_ns
    path.write_bytes(path.read_bytes()[:100])
    assert path.parent.stat().st_mtime_ns == before


def test_the_files_are_asked_once_for_a_look_and_again_when_it_is_old_or_the_index_changed(library):
    first, second, _third = fill(library, 3)
    look = Look(library)
    look.settle()
    assert look.damaged() == set()
    cut(look.video_files.path(first, MP4))
    assert look.damaged() == set(), "remembered"
    look.now += REMEMBERED_S
    assert look.damaged() == {first}
    cut(look.video_files.path(second, SIDECAR))
    assert look.damaged() == {first}
    assert look.damaged(generation=2) == {first, second}


@pytest.mark.parametrize("suffix", [MP4, SIDECAR])
def test_a_file_that_vanishes_or_comes_back_is_seen_at_once(library, suffix):
    gone = fill(library, 3)[1]
    look = Look(library)
    look.settle()
    assert look.damaged() == set()
    path = look.video_files.path(gone, suffix)
    content = path.read_bytes()
    path.unlink()
    assert look.damaged() == {gone}
    look.settle()
    assert look.damaged() == {gone}
    path.write_bytes(content)
    assert look.damaged() == set()


def test_nothing_is_remembered_while_files_come_and_go(library):
    """Two changes in one tick of the file system's clock look like one."""
    first = fill(library, 2)[0]
    look = Look(library)
    look.settle(3600)
    assert look.damaged() == set()
    cut(look.video_files.path(first, MP4))
    assert look.damaged() == {first}
