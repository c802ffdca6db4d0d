"""Random sequences of library operations, restarts, crashes and index losses do what dictionaries would do."""

import os
import shutil
import signal
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
import samples
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from samples import IDENTICAL, foreign, moving, video, with_recipe

from core import faults
from core.domain.video import Video
from core.errors import NewerLibrary, NotFound, StudioError
from core.library import folder_exchange as exchange
from core.library.folder_exchange import Twins
from core.library.library import Library
from core.library.search.index import FORMAT
from core.library.search.query import Query

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
IDS = [f"202611{day}-000000-abcdef" for day in ("01", "02", "03")] + ["20261201-000000-abcdef"]
CHILD = "20261202-000000-abcdef"  # an identical regeneration of the last of them
some_id = st.sampled_from([*IDS, CHILD])
Videos = dict[str, Video]


@cache
def made(id: str) -> tuple[Video, bytes]:
    """A video of that id with its own frames, settings and file; the child has the frames of its parent."""
    number = IDS.index(id) if id in IDS else len(IDS) - 1
    plain = video(f"prompt {number}", id=id, seed=number, num_frames=4 + number,
                  created=f"{id[:4]}-{id[4:6]}-{id[6:8]}T00:00:00+00:00", parent=IDS[-1] if id == CHILD else None)
    plain = replace(plain, receipt=replace(plain.receipt, frames_sha256=f"{number:064x}"))
    whole, data = with_recipe(plain, moving(4 + number, 16, 16))
    return replace(whole, verdict=IDENTICAL if id == CHILD else None), data


@cache
def foreign_mp4() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return foreign(Path(folder) / "sea.mp4", frames=moving(3, 16, 16)).read_bytes()


def newest_first(kept: Videos) -> tuple[Video, ...]:
    return tuple(sorted(kept.values(), key=lambda each: (each.created, each.id), reverse=True))


def joined(here: Video, there: Video) -> Video:
    """Two records of one video: no tag is lost, a favourite of either is one."""
    return replace(here, tags=tuple(dict.fromkeys((*here.tags, *there.tags))),
                   favorite=here.favorite or there.favorite)


class LibraryAgainstDictionary(RuleBasedStateMachine):
    """`self.kept` is the content the library must hold, `self.trashed` that of its trash, `self.others` what another
    library must: id → Video."""

    @initialize()
    def open_empty(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="t2v-model-"))
        self.data = self.folder / "data"
        self.kept: Videos = {}
        self.trashed: Videos = {}
        self.others: Videos = {}
        self.old_index: bytes | None = None
        self.library = Library(self.data, writable=True)
        self.reader = Library(self.data, writable=False)
        self.other = Library(self.folder / "other", writable=True)
        for id in IDS[1:]:
            self.publish(id)

    @rule(id=some_id)
    def publish(self, id: str) -> None:
        """Also the end of a regeneration, with its verdict."""
        self.remember_the_index()
        assert self.library.publish(*made(id)) == self.kept.setdefault(id, made(id)[0])

    @rule(id=some_id, tags=st.lists(st.sampled_from(["a", "b", "ü"]), unique=True), favorite=st.booleans())
    def change(self, id: str, tags: list[str], favorite: bool) -> None:
        self.remember_the_index()
        try:
            self.kept[id] = self.library.change(id, tags=tags, favorite=favorite)
        except NotFound:
            assert id not in self.kept
        else:
            assert (self.kept[id].tags, self.kept[id].favorite) == (tuple(tags), favorite)

    @rule(which=st.integers(0, 9))
    def delete(self, which: int) -> None:
        self.remember_the_index()
        there = sorted({*IDS, CHILD, *self.kept})
        id = there[which % len(there)]
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

    @rule(id=some_id)
    def import_a_copy(self, id: str) -> None:
        path = self.folder / "copy.mp4"
        path.write_bytes(made(id)[1])
        wanted = self.kept.setdefault(id, replace(made(id)[0], verdict=None))
        assert self.library.import_mp4(path).video == wanted

    @rule()
    def import_a_foreign_one(self) -> None:
        path = self.folder / "sea.mp4"
        path.write_bytes(foreign_mp4())
        found = self.library.import_mp4(path, unknown=True).video
        known = [each for each in self.kept.values() if not each.recipe]
        assert not found.recipe and known in ([], [found])
        self.kept[found.id] = found

    @rule(id=some_id, damage=st.sampled_from(["mp4", "mp4 gone", "sidecar", "sidecar gone"]))
    def damage_and_heal(self, id: str, damage: str) -> None:
        if id not in self.kept or id in self.trashed:
            return
        path = self.library.mp4_path(id) if damage.startswith("mp4") else self.library.sidecar_path(id)
        path.unlink() if damage.endswith("gone") else path.write_bytes(b"x")
        assert self.library.search(Query()).damaged == (id,) and len(self.library.verify()) == 1
        (self.folder / "copy.mp4").write_bytes(made(id)[1])
        assert self.library.import_mp4(self.folder / "copy.mp4").outcome == "healed"
        if damage.startswith("sidecar"):  # facts that were only in the sidecar are lost with it
            self.kept[id] = replace(made(id)[0], verdict=None)

    @rule()
    def carry_to_the_other_library(self) -> None:
        self.carry(self.library, self.kept, self.other, self.others)

    @rule()
    def carry_back(self) -> None:
        self.remember_the_index()
        self.carry(self.other, self.others, self.library, self.kept)

    def carry(self, source: Library, theirs: Videos, target: Library, ours: Videos) -> None:
        """Export all of one library and import it into the other."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        for step in exchange.export(source, list(source.found(Query())), folder):
            assert step.outcome == exchange.COPIED
        found = exchange.find(folder)
        assert {each.video.id: each.video for each in found} == theirs
        twins = Twins(target, set(theirs))
        for each in found:
            target.merge(each.path, each.beside, twins.of(each.video))
        alike = {each.receipt.frames_sha256: each.id for each in newest_first(ours)[::-1]
                 if each.id not in theirs and each.recipe}
        same_file = {each.result.mp4_sha256: each.id for each in ours.values() if not each.recipe}
        for each in theirs.values():
            twin = alike.get(each.receipt.frames_sha256) if each.recipe else same_file.get(each.result.mp4_sha256)
            id = each.id if each.id in ours or twin is None else twin
            ours[id] = joined(ours[id], each) if id in ours else each
        shutil.rmtree(folder)

    @rule(id=some_id, point=st.sampled_from(sorted({*faults.LIBRARY_POINTS} - {*faults.DELETE})))
    def crash(self, id: str, point: str) -> None:
        """A process dies at `point` of a change: it is done, or nothing has happened."""
        self.remember_the_index()
        action = {"trash": "delete"}.get(point.partition(":")[0], point.partition(":")[0])
        child = os.fork()
        if not child:
            try:
                faults.reach.__defaults__ = (point,)
                self.do(action, id)
            except StudioError:
                pass
            finally:
                os._exit(0)  # not told to die there: the change was refused, or had nothing to do
        killed = os.waitpid(child, 0)[1] == signal.SIGKILL
        before = self.kept, self.trashed
        after = self.expected(action, id)
        self.library = Library(self.data, writable=True)
        found = ({each.id: each for each in samples.found(self.library)},
                 {each.id: each.video for each in self.library.trash.page().videos})
        assert found in ([before, after] if killed else [after])
        self.kept, self.trashed = found

    def do(self, action: str, id: str) -> None:
        if action == "publish":
            self.library.publish(*made(id))
        elif action == "change":
            self.library.change(id, tags=["a"], favorite=True)
        else:
            getattr(self.library.deleting, action)(id)

    def expected(self, action: str, id: str) -> tuple[Videos, Videos]:
        kept, trashed = dict(self.kept), dict(self.trashed)
        if action == "publish":
            kept.setdefault(id, made(id)[0])
        elif action == "change" and id in kept:
            kept[id] = replace(kept[id], tags=("a",), favorite=True)
        elif action == "delete" and id in kept:
            trashed[id] = kept.pop(id)
        elif action == "restore" and id in trashed and id not in kept:
            kept[id] = trashed.pop(id)
        elif action == "erase":
            trashed.pop(id, None)
        return kept, trashed

    def remember_the_index(self) -> None:
        path = self.data / "index.json"
        self.old_index = path.read_bytes() if path.exists() else None

    @rule(how=st.sampled_from(["old", "lost", "garbled", "old", "half", "earlier", "kept"]))
    def restart(self, how: str) -> None:
        self.library.close()
        path = self.data / "index.json"
        if how == "lost":
            path.unlink(missing_ok=True)
        elif how == "garbled":
            path.write_bytes(b"\0garbage")
        elif how == "old" and self.old_index is not None:
            path.write_bytes(self.old_index)
        elif how == "half" and path.exists():
            path.write_bytes(path.read_bytes()[:-7])
        elif how == "earlier" and path.exists():
            path.write_bytes(path.read_bytes().replace(b'"format":%d' % FORMAT, b'"format":1'))
        for part in ("20261101-000000-ffffff.mp4.part", "20261101-000000-ffffff.json"):
            if (self.data / "library" / "2026-11").is_dir():
                (self.data / "library" / "2026-11" / part).write_bytes(b"{}")
        self.library = Library(self.data, writable=True)

    @rule()
    def a_newer_studio_was_here(self) -> None:
        self.library.close()
        path = self.data / "index.json"
        good = path.read_bytes()
        path.write_bytes(good.replace(b'"format":%d' % FORMAT, b'"format":99'))
        with pytest.raises(NewerLibrary):
            Library(self.data, writable=True)
        looked_at = Library(self.data, writable=False)
        assert samples.found(looked_at) == newest_first(self.kept)
        looked_at.close()
        path.write_bytes(good)
        self.library = Library(self.data, writable=True)

    @rule()
    def reindex(self) -> None:
        assert self.library.reindex().videos == len(self.kept)

    @invariant()
    def both_hold_exactly_what_they_must(self) -> None:
        if not hasattr(self, "other"):
            return
        shown = newest_first(self.kept)
        page = self.library.search(Query())
        assert (samples.found(self.library), page.damaged) == (shown, ())
        assert samples.found(self.reader) == shown
        for tag in ("a", "b", "ü"):
            tagged = tuple(each for each in shown if tag in each.tags)
            assert samples.found(self.library, Query(tags=(tag,))) == tagged
        starred = tuple(each for each in shown if each.favorite)
        assert samples.found(self.library, Query(favorite=True)) == starred
        unknown = tuple(each for each in shown if not each.recipe)
        assert samples.found(self.library, Query(recipe=False)) == unknown
        assert self.library.verify() == []
        assert samples.found(self.other) == newest_first(self.others)
        assert {each.id: each.video for each in self.reader.trash.page().videos} == self.trashed

    def teardown(self) -> None:
        if hasattr(self, "other"):
            for opened in (self.library, self.reader, self.other):
                opened.close()
            shutil.rmtree(self.folder)


LibraryAgainstDictionary.TestCase.settings = settings(max_examples=30, stateful_step_count=14, deadline=None)
TestLibraryAgainstDictionary = LibraryAgainstDictionary.TestCase
