"""Random sequences of library operations, restarts, crashes and index losses do what two dictionaries would do."""

import os
import shutil
import signal
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from samples import mp4, video

from core import faults
from core.errors import NotFound, StudioError
from core.library.library import Library
from core.library.query import Query
from core.video import Video

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
IDS = [f"202611{day}-000000-abcdef" for day in ("01", "02", "03")] + ["20261201-000000-abcdef"]
some_id = st.sampled_from(IDS)


def fresh(id: str) -> Video:
    return video(f"prompt {id}", id=id, created=f"{id[:4]}-{id[4:6]}-{id[6:8]}T00:00:00+00:00")


class LibraryAgainstDictionary(RuleBasedStateMachine):
    """`self.kept` is what the library must hold, `self.trashed` what its trash must: id → Video."""

    @initialize()
    def open_empty(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="t2v-model-"))
        self.kept: dict[str, Video] = {}
        self.trashed: dict[str, Video] = {}
        self.old_index: bytes | None = None
        self.library = Library(self.folder, writable=True)
        self.reader = Library(self.folder, writable=False)
        for id in IDS[1:]:
            self.publish(id)

    @rule(id=some_id)
    def publish(self, id: str) -> None:
        self.remember_the_index()
        self.kept.setdefault(id, fresh(id))
        assert self.library.publish(fresh(id), mp4()[0]) == self.kept[id]

    @rule(id=some_id, tags=st.lists(st.sampled_from(["a", "b", "ü"]), unique=True), favorite=st.booleans())
    def change(self, id: str, tags: list[str], favorite: bool) -> None:
        self.remember_the_index()
        try:
            self.kept[id] = self.library.change(id, tags=tags, favorite=favorite)
        except NotFound:
            assert id not in self.kept
        else:
            assert (self.kept[id].tags, self.kept[id].favorite) == (tuple(tags), favorite)

    @rule(id=some_id)
    def delete(self, id: str) -> None:
        self.remember_the_index()
        try:
            self.library.delete(id)
        except NotFound:
            assert id not in self.kept
        else:
            self.trashed[id] = self.kept.pop(id)

    @rule(id=some_id)
    def restore(self, id: str) -> None:
        self.remember_the_index()
        try:
            restored = self.library.deleting.restore(id)
        except NotFound:
            assert id not in self.kept and id not in self.trashed
        except StudioError:
            assert id in self.kept and id in self.trashed
        else:
            self.kept[id] = self.trashed.pop(id) if id in self.trashed else self.kept[id]
            assert restored == self.kept[id]

    @rule(id=some_id)
    def erase(self, id: str) -> None:
        try:
            self.library.deleting.erase(id)
        except NotFound:
            assert id not in self.trashed
        else:
            del self.trashed[id]

    @rule(limit=st.integers(1, 4))
    def empty(self, limit: int) -> None:
        assert self.library.deleting.expire(limit) == 0
        gone = self.library.deleting.expire(limit, datetime.now(UTC) + timedelta(days=31))
        assert gone == min(limit, len(self.trashed))
        left = {each.id for each in self.library.trash.content()}
        assert len(left) == len(self.trashed) - gone
        self.trashed = {id: self.trashed[id] for id in left}

    @rule(id=some_id, point=st.sampled_from(sorted({*faults.LIBRARY_POINTS} - {*faults.DELETE})))
    def crash(self, id: str, point: str) -> None:
        """A process dies at `point` of a deed: it is done, or nothing has happened."""
        self.remember_the_index()
        deed = {"trash": "delete"}.get(point.partition(":")[0], point.partition(":")[0])
        child = os.fork()
        if not child:
            try:
                faults.reach.__defaults__ = (point,)
                self.do(deed, id)
            except StudioError:
                pass
            finally:
                os._exit(0)  # not told to die there: the deed was refused, or had nothing to do
        killed = os.waitpid(child, 0)[1] == signal.SIGKILL
        before = self.kept, self.trashed
        after = self.expected(deed, id)
        self.library = Library(self.folder, writable=True)
        found = ({each.id: each for each in self.library.search(Query()).videos},
                 {each.id: each.video for each in self.library.trash.page().videos})
        assert found in ([before, after] if killed else [after])
        self.kept, self.trashed = found

    def do(self, deed: str, id: str) -> None:
        if deed == "publish":
            self.library.publish(fresh(id), mp4()[0])
        elif deed == "change":
            self.library.change(id, tags=["a"], favorite=True)
        else:
            getattr(self.library.deleting, deed)(id)

    def expected(self, deed: str, id: str) -> tuple[dict[str, Video], dict[str, Video]]:
        kept, trashed = dict(self.kept), dict(self.trashed)
        if deed == "publish":
            kept.setdefault(id, fresh(id))
        elif deed == "change" and id in kept:
            kept[id] = replace(kept[id], tags=("a",), favorite=True)
        elif deed == "delete" and id in kept:
            trashed[id] = kept.pop(id)
        elif deed == "restore" and id in trashed and id not in kept:
            kept[id] = trashed.pop(id)
        elif deed == "erase":
            trashed.pop(id, None)
        return kept, trashed

    def remember_the_index(self) -> None:
        path = self.folder / "index.json"
        self.old_index = path.read_bytes() if path.exists() else None

    @rule(how=st.sampled_from(["old", "lost", "garbled", "old", "half", "kept"]))
    def restart(self, how: str) -> None:
        self.library.close()
        path = self.folder / "index.json"
        if how == "lost":
            path.unlink(missing_ok=True)
        elif how == "garbled":
            path.write_bytes(b"\0garbage")
        elif how == "old" and self.old_index is not None:
            path.write_bytes(self.old_index)
        elif how == "half" and path.exists():
            path.write_bytes(path.read_bytes()[:-7])
        for part in ("20261101-000000-ffffff.mp4.part", "20261101-000000-ffffff.json"):
            if (self.folder / "library" / "2026-11").is_dir():
                (self.folder / "library" / "2026-11" / part).write_bytes(b"{}")
        self.library = Library(self.folder, writable=True)

    @rule()
    def reindex(self) -> None:
        assert self.library.reindex().videos == len(self.kept)

    @invariant()
    def both_hold_exactly_what_they_must(self) -> None:
        if not hasattr(self, "library"):
            return
        newest_first = tuple(self.kept[id] for id in sorted(self.kept, reverse=True))
        page = self.library.search(Query())
        assert (page.videos, page.damaged) == (newest_first, ())
        assert self.reader.search(Query()).videos == newest_first
        for tag in ("a", "b", "ü"):
            tagged = tuple(each for each in newest_first if tag in each.tags)
            assert self.library.search(Query(tags=(tag,))).videos == tagged
        starred = tuple(each for each in newest_first if each.favorite)
        assert self.library.search(Query(favorite=True)).videos == starred
        assert self.library.verify() == []
        assert {each.id: each.video for each in self.reader.trash.page().videos} == self.trashed

    def teardown(self) -> None:
        if hasattr(self, "library"):
            self.library.close()
            self.reader.close()
            shutil.rmtree(self.folder)


LibraryAgainstDictionary.TestCase.settings = settings(max_examples=30, stateful_step_count=12, deadline=None)
TestLibraryAgainstDictionary = LibraryAgainstDictionary.TestCase
