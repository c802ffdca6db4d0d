"""Random sequences of library operations, restarts and index losses do what a dictionary would do."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from samples import mp4, video

from core.errors import NotFound
from core.library.library import Library
from core.library.query import Query
from core.video import Video

IDS = [f"202611{day}-000000-abcdef" for day in ("01", "02", "03")] + ["20261201-000000-abcdef"]
some_id = st.sampled_from(IDS)


class LibraryAgainstDictionary(RuleBasedStateMachine):
    """`self.kept` is what the library must hold: id → Video."""

    @initialize()
    def open_empty(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="t2v-model-"))
        self.kept: dict[str, Video] = {}
        self.old_index: bytes | None = None
        self.library = Library(self.folder, writable=True)
        self.reader = Library(self.folder, writable=False)
        for id in IDS[1:]:
            self.publish(id)

    @rule(id=some_id)
    def publish(self, id: str) -> None:
        self.remember_the_index()
        fresh = video(f"prompt {id}", id=id, created=f"{id[:4]}-{id[4:6]}-{id[6:8]}T00:00:00+00:00")
        self.kept.setdefault(id, fresh)
        assert self.library.publish(fresh, mp4()[0]) == self.kept[id]

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
            del self.kept[id]

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

    def teardown(self) -> None:
        if hasattr(self, "library"):
            self.library.close()
            self.reader.close()
            shutil.rmtree(self.folder)


LibraryAgainstDictionary.TestCase.settings = settings(max_examples=30, stateful_step_count=12, deadline=None)
TestLibraryAgainstDictionary = LibraryAgainstDictionary.TestCase
