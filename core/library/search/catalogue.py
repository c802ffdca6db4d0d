"""Answers the gallery's searches from the index.

The index rows are enough to filter, sort and show videos. A page reads a sidecar only if another program has
changed it since its row was made. A page never copies the lists, and an answer is stored until the index changes.
"""

import threading
from collections.abc import Sequence
from dataclasses import replace

from core.domain.video import Video
from core.errors import BadRequest, DamagedVideo, NotFound, ReadOnly
from core.library.search.damage import Damage
from core.library.search.entry import Entry
from core.library.search.facets import FacetCount, Facets
from core.library.search.index import Index
from core.library.search.query import Page, Place, Query, matching
from core.library.storage.video_files import VideoFiles

_CACHED_ANSWERS = 32
_REMEMBERED = 2048  # rows of sidecars that another program has changed


class Catalogue:
    """The videos of `video_files`, by their rows in `index`. Safe in threads."""

    def __init__(self, index: Index, video_files: VideoFiles) -> None:
        self._index = index
        self._video_files = video_files
        self._damage = Damage(video_files)
        self._read: dict[str, Entry] = {}
        self._children: tuple[int, dict[str, list[str]]] = -1, {}
        self._answers: dict[Query, tuple[int, Sequence[Entry], int]] = {}
        self._counting = threading.Lock()  # protects the next three fields, also during the change of an entry
        self._tally: FacetCount | None = None
        self._tallied = -1  # the generation of the index that the tally counts
        self._facets: Facets | None = None

    def search(self, query: Query) -> Page:
        """One page of the videos that match. A number beyond the last page gives the last page.

        Raises:
            BadRequest: an unknown order or a page size below 1.
        """
        if query.page_size < 1:
            raise BadRequest("page_size", f"{query.page_size} is less than 1.")
        entries, size = self._answer(replace(query, page=1, page_size=1, around=""))
        pages = max(1, -(-len(entries) // query.page_size))
        number = min(max(1, query.page), pages)
        first = (number - 1) * query.page_size
        shown = [self._now(entry) for entry in entries[first : first + query.page_size]]
        return Page(tuple(entry for entry, _ in shown), len(entries), number, pages, size,
                    damaged=tuple(entry.id for entry, whole in shown
                                  if query.damaged or (not whole and self._index.get(entry.id) is not None)),
                    newer=tuple(entry.id for entry, _ in shown if entry.sidecar_ns < 0),
                    place=_place(entries, query.around) if query.around else None)

    def found(self, query: Query) -> dict[str, int]:
        """The ids of all videos that match, in order, each with the size of its MP4 in bytes. Raises like `search`."""
        return {entry.id: entry.bytes for entry in self._answer(replace(query, page=1, page_size=1, around=""))[0]}

    def facets(self) -> Facets:
        """The values that occur, for the filters."""
        with self._counting:
            generation = self._index.generation
            if self._tally is None or self._tallied != generation:
                self._tally, self._tallied, self._facets = FacetCount(self._index.all()), generation, None
            if self._facets is None:
                self._facets = self._tally.facets()
            return self._facets

    def made_from(self, video_id: str) -> tuple[str, ...]:
        """The ids of the videos made from this one, newest first."""
        generation, children = self._children
        if generation != self._index.generation:
            generation, children = self._index.generation, {}
            for entry in self._index.all():
                if entry.parent is not None:
                    children.setdefault(entry.parent, []).append(entry.id)
            self._children = generation, children
        return tuple(children.get(video_id, ()))

    def put(self, video: Video) -> None:
        """Add a video whose sidecar has just been written."""
        entry = Entry.of(video, self._video_files.stamp(video.id))
        with self._counting:
            old, known = self._index.get(video.id), self._index.generation
            self._index.put(entry)
            self._count(known, old, entry)

    def remove(self, video_id: str) -> None:
        """Remove a video from the index."""
        with self._counting:
            old, known = self._index.get(video_id), self._index.generation
            self._index.remove(video_id)
            self._count(known, old, None)

    def _count(self, known: int, old: Entry | None, new: Entry | None) -> None:
        """Update the tally, if it counted the generation `known` before this change."""
        if self._tally is not None and self._tallied == known:
            self._tally.exchange(old, new)
            self._tallied, self._facets = self._index.generation, None

    def _answer(self, query: Query) -> tuple[Sequence[Entry], int]:
        """All entries that match, and the bytes of their MP4s together."""
        if query.damaged:  # not stored here: files can change without the index
            generation, all_of_them = self._index.generation, self._index.all()
            damaged = self._damage.among(all_of_them, generation)
            chosen = [entry for entry in self._answer(replace(query, damaged=False))[0] if entry.id in damaged]
            return chosen, sum(entry.bytes for entry in chosen)
        generation = self._index.generation
        known = self._answers.get(query)
        if known is not None and known[0] == generation:
            return known[1], known[2]
        rows = self._index.rows()
        entries = matching(rows, query)
        size = rows.bytes if len(entries) == len(rows) else sum(entry.bytes for entry in entries)
        if len(self._answers) >= _CACHED_ANSWERS:
            self._answers = {}
        self._answers[query] = generation, entries, size
        return entries, size

    def _now(self, entry: Entry) -> tuple[Entry, bool]:
        """The current row of a video, and whether its files are there.

        If its sidecar is missing or damaged, the row of the index is returned.
        """
        try:
            stamp, size = self._video_files.stamp_and_size(entry.id)
            if stamp != abs(entry.sidecar_ns):
                entry = self._written_since(entry, stamp)
        except (NotFound, DamagedVideo, OSError):
            return entry, False
        return entry, size == entry.bytes

    def _written_since(self, entry: Entry, stamp: int) -> Entry:
        """The row of a sidecar that another program has changed. It is stored until the next change."""
        known = self._read.get(entry.id)
        if known is not None and abs(known.sidecar_ns) == stamp:
            return known
        try:
            entry = Entry.of(self._video_files.read(entry.id), stamp)
        except ReadOnly:
            entry = entry._replace(sidecar_ns=-stamp)
        if len(self._read) >= _REMEMBERED:
            self._read = {}
        self._read[entry.id] = entry
        return entry


def _place(entries: Sequence[Entry], video_id: str) -> Place:
    for at, entry in enumerate(entries):
        if entry.id == video_id:
            return Place(at + 1, len(entries), entries[at - 1].id if at else None,
                         entries[at + 1].id if at + 1 < len(entries) else None)
    return Place(0, len(entries))
