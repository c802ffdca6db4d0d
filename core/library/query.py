"""What the gallery may ask, and the answer: entries, queries, pages.

An `Entry` is a video as the index knows it: what can be searched, filtered and sorted by, and no more, so that
a hundred thousand of them fit in memory. Everything else is in the sidecar.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from datetime import date
from types import NoneType
from typing import Any

from core.errors import BadRequest
from core.receipt import Environment, Receipt
from core.request import VideoRequest
from core.video import Result, Runtime, Video, is_id

_TERM = re.compile(r'(-?)(?:"([^"]*)"?|(\S+))')


def fold(text: str) -> str:
    """Text as it is compared: compatibility forms unified, case gone, white space made single."""
    if text.isascii():  # most is, and this is ten times as fast
        return " ".join(text.lower().split())
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the index.

    Attributes:
        sidecar_ns: when the sidecar was last written (nanoseconds, as the file system says).
    """

    id: str
    created: str
    owner: str
    parent: str | None
    prompt: str
    negative_prompt: str
    tags: tuple[str, ...]
    favorite: bool
    model: str
    num_frames: int
    num_inference_steps: int
    guidance_scale: float
    fps: int
    seed: int
    width: int
    height: int
    scheduler: str
    bytes: int
    mp4_sha256: str
    total_s: float
    verdict: str | None
    sidecar_ns: int
    _text: str = field(init=False, repr=False, compare=False)  # the underscore keeps it out of the file

    def __post_init__(self) -> None:
        object.__setattr__(self, "_text", "\n".join(fold(text) for text in (self.prompt, *self.tags)))

    @classmethod
    def of(cls, video: Video, sidecar_ns: int) -> "Entry":
        """The row of a video."""
        request = video.request
        return cls(
            id=video.id, created=video.created, owner=video.owner, parent=video.parent, prompt=request.prompt,
            negative_prompt=request.negative_prompt or "", tags=video.tags, favorite=video.favorite,
            model=request.model or "", num_frames=video.result.num_frames,
            num_inference_steps=request.num_inference_steps or 0,
            guidance_scale=request.guidance_scale or 0.0, fps=video.result.fps, seed=request.seed or 0,
            width=video.result.width, height=video.result.height, scheduler=request.scheduler or "",
            bytes=video.result.bytes, mp4_sha256=video.result.mp4_sha256, total_s=video.runtime.total_s,
            verdict=video.verdict.verdict if video.verdict else None, sidecar_ns=sidecar_ns,
        )

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "Entry":
        """Read a row of the index file.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: not such a row.
        """
        entry = cls(**{**document, "tags": tuple(document["tags"])})
        for name, kind in _KINDS:
            if not isinstance(getattr(entry, name), kind):
                raise TypeError(f"{name} is {getattr(entry, name)!r:.40}")
        if not is_id(entry.id):
            raise ValueError(f"{entry.id!r:.40} is not an id")
        return entry

    def says(self, folded: str) -> bool:
        """Whether the prompt or a tag contains this text, itself already folded."""
        return folded in self._text

    def video(self) -> Video:
        """What is known of the video without its sidecar: the receipt is empty."""
        nothing = Receipt("", "", self.model, "", "", "", {}, Environment("", "", "", "", "", 0))
        seconds = round(self.num_frames / self.fps, 6) if self.fps else 0.0
        names = {f.name for f in fields(VideoRequest)}
        return Video(
            id=self.id, created=self.created, owner=self.owner, parent=self.parent, tags=self.tags,
            favorite=self.favorite, receipt=nothing, runtime=Runtime(total_s=self.total_s),
            request=VideoRequest(**{n: getattr(self, n) for n in names}),
            result=Result(self.num_frames, self.width, self.height, self.fps, seconds, self.bytes,
                          self.mp4_sha256),
        )


_KINDS = tuple((f.name, {str: str, bool: bool, int: int, float: (int, float), tuple[str, ...]: tuple,
                         str | None: (str, NoneType)}[f.type]) for f in fields(Entry) if f.init)


@dataclass(frozen=True)
class Query:
    """What to show. None and empty mean: any.

    Attributes:
        text: words that must all occur in the prompt or the tags, "quoted phrases", -excluded words.
        tags: tags the video must all have.
        damaged: only videos whose sidecar or MP4 is missing or unreadable now; the disk is asked each time.
        date_from, date_to: days in UTC, both included: a date, or text that starts with YYYY-MM-DD.
        sort: a key of `SORTS`.
        page: from 1; beyond the last one the last is given.
        around: id of a video; where it stands among the results is said, too.
    """

    text: str = ""
    model: str | None = None
    seed: int | None = None
    num_frames: int | None = None
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    width: int | None = None
    height: int | None = None
    scheduler: str | None = None
    owner: str | None = None
    parent: str | None = None
    verdict: str | None = None
    favorite: bool | None = None
    damaged: bool = False
    tags: tuple[str, ...] = ()
    date_from: date | str | None = None
    date_to: date | str | None = None
    sort: str = "newest"
    page: int = 1
    page_size: int = 24
    around: str = ""


@dataclass(frozen=True)
class Place:
    """Where a video stands in an answer: `number` of `total`, from 1, and the ids before and after it.

    0 and None when the query does not find it.
    """

    number: int
    total: int
    previous: str | None = None
    next: str | None = None


@dataclass(frozen=True)
class Page:
    """One page of an answer.

    Attributes:
        total, bytes: how many videos match on all pages, and how much disk their MP4s take.
        page, pages: this page and the last one, from 1 (1 of 1 when nothing matches).
        damaged: ids among `videos` whose sidecar or MP4 is missing or unreadable; of these only what the
            index knows is given.
        place: where the video of `Query.around` stands.
    """

    videos: tuple[Video, ...]
    total: int
    page: int
    pages: int
    bytes: int
    damaged: tuple[str, ...] = ()
    place: Place | None = None


@dataclass(frozen=True)
class Facets:
    """The values that occur, each in order, for the filters to offer."""

    models: tuple[str, ...]
    tags: tuple[str, ...]
    owners: tuple[str, ...]
    schedulers: tuple[str, ...]
    num_frames: tuple[int, ...]
    num_inference_steps: tuple[int, ...]
    guidance_scales: tuple[float, ...]
    sizes: tuple[tuple[int, int], ...]  # width, height


SORTS: dict[str, tuple[Callable[[Entry], Any] | None, bool]] = {  # key (None: by creation), descending
    "newest": (None, False),
    "oldest": (None, True),
    "prompt": (lambda entry: entry._text, False),
    "seed": (lambda entry: entry.seed, False),
    "num_frames": (lambda entry: entry.num_frames, False),
    "num_inference_steps": (lambda entry: entry.num_inference_steps, False),
    "guidance_scale": (lambda entry: entry.guidance_scale, False),
    "longest render": (lambda entry: entry.total_s, True),
}
_EXACT = ("model", "seed", "num_frames", "num_inference_steps", "guidance_scale", "width", "height", "scheduler",
          "owner", "parent", "verdict", "favorite")


def matching(entries: Sequence[Entry], query: Query) -> Sequence[Entry]:
    """The entries that match, in the order asked for; `entries` are newest first. `damaged` is not looked at.

    Raises:
        BadRequest: an unknown order.
    """
    if query.sort not in SORTS:
        raise BadRequest("sort", f"{query.sort!r} is not an order; choose one of {', '.join(SORTS)}.")
    for name in _EXACT:
        wanted = getattr(query, name)
        if wanted is not None:
            entries = [entry for entry in entries if getattr(entry, name) == wanted]
    if query.date_from:
        first = str(query.date_from)[:10]
        entries = [entry for entry in entries if entry.created[:10] >= first]
    if query.date_to:
        last = str(query.date_to)[:10]
        entries = [entry for entry in entries if entry.created[:10] <= last]
    for tag in query.tags:
        entries = [entry for entry in entries if tag in entry.tags]
    for excluded, text in terms(query.text):
        entries = [entry for entry in entries if entry.says(text) is not excluded]
    key, descending = SORTS[query.sort]
    if key is not None:
        return sorted(entries, key=key, reverse=descending)
    return entries[::-1] if descending else entries


def terms(text: str) -> list[tuple[bool, str]]:
    """A search text as (excluded, folded text) pairs: `red "big ball" -dog`. A lone minus is nothing."""
    found = []
    for minus, phrase, word in _TERM.findall(text):
        folded = fold(phrase or word)
        if folded and folded != "-":
            found.append((bool(minus), folded))
    return found


def facets(entries: Sequence[Entry]) -> Facets:
    """The values that occur among `entries`."""
    def values(name: str) -> tuple[Any, ...]:
        return tuple(sorted({getattr(entry, name) for entry in entries} - {""}))

    return Facets(
        models=values("model"), tags=tuple(sorted({tag for entry in entries for tag in entry.tags})),
        owners=values("owner"), schedulers=values("scheduler"), num_frames=values("num_frames"),
        num_inference_steps=values("num_inference_steps"), guidance_scales=values("guidance_scale"),
        sizes=tuple(sorted({(entry.width, entry.height) for entry in entries})),
    )
