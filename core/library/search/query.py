"""The searches of the gallery and their answers: queries, pages, orders."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date
from typing import Any

from core.domain.verdict import DRIFTED, EQUIVALENT, IDENTICAL
from core.errors import BadRequest
from core.library.search.blocks import Blocks
from core.library.search.entry import Entry, fold

_TERM = re.compile(r'(-?)(?:(prompt|negative|tag):)?(?:"([^"]*)"?|(\S+))', re.IGNORECASE)


@dataclass(frozen=True)
class Query:
    """The videos to show. None and empty mean: any.

    Attributes:
        text: words, "quoted phrases" and -excluded words. All words must occur in the prompt, the negative prompt or
            the tags. `prompt:`, `negative:` and `tag:` before a word search only there. An excluded word may occur
            in the negative prompt, because the video avoids it there.
        negative_prompt: words, phrases and exclusions like `text`, only in the negative prompt.
        tags: tags that the video must have, all of them.
        lora: the name of an applied LoRA.
        recipe: False: only videos from outside, which have no recipe.
        damaged: only videos whose sidecar or MP4 is missing or unreadable now (core/library/search/damage.py).
        date_from, date_to: days in UTC, both included: a date, or text that starts with YYYY-MM-DD.
        sort: a key of `SORTS`.
        page: from 1; a number beyond the last page gives the last page.
        around: id of a video; the answer then also gives its place among the results.
    """

    text: str = ""
    negative_prompt: str = ""
    model: str | None = None
    seed: int | None = None
    num_frames: int | None = None
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    fps: int | None = None
    width: int | None = None
    height: int | None = None
    scheduler: str | None = None
    mode: str | None = None
    lora: str | None = None
    owner: str | None = None
    parent: str | None = None
    verdict: str | None = None
    favorite: bool | None = None
    recipe: bool | None = None
    damaged: bool = False
    tags: tuple[str, ...] = ()
    date_from: date | str | None = None
    date_to: date | str | None = None
    sort: str = "newest"
    page: int = 1
    page_size: int = 24
    around: str = ""

    def document(self) -> dict[str, Any]:
        """The search as a JSON object, without fields at their default, page and place."""
        document = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name in _KINDS and value != f.default:
                document[f.name] = list(value) if isinstance(value, tuple) else str(value)[:10] \
                    if f.name.startswith("date") else value
        return document


_KINDS: dict[str, tuple[type, ...]] = {  # the type of each field in a document
    f.name: {str: (str,), int | None: (int,), float | None: (int, float), bool | None: (bool,), bool: (bool,),
             tuple[str, ...]: (list,), str | None: (str,), date | str | None: (str,)}[f.type]
    for f in fields(Query) if f.name not in ("page", "page_size", "around")}


def query_from(document: Any) -> Query:
    """The query that `Query.document` wrote.

    Raises:
        BadRequest: another object, or a wrong value; the sentence names it.
    """
    if not isinstance(document, dict):
        raise BadRequest("search", f"{document!r:.40} is not an object.")
    for name, value in document.items():
        if type(value) not in _KINDS.get(name, ()):
            raise BadRequest("search", f"{name} cannot be {value!r:.40}.")
    values = dict(document)
    if not all(isinstance(tag, str) for tag in values.get("tags", ())):
        raise BadRequest("search", "its tags are not text.")
    for name in ("date_from", "date_to"):
        try:
            day = values.get(name, "2026-01-01")
            if date.fromisoformat(day).isoformat() != day:  # days are compared as text
                raise ValueError
        except ValueError as error:
            raise BadRequest("search", f"{values[name]!r:.40} is not a day, as 2026-11-29 is.") from error
    if values.get("sort", "newest") not in SORTS:
        raise BadRequest("sort", f"{values['sort']!r:.40} is not an order.")
    return Query(**{**values, **({"tags": tuple(values["tags"])} if "tags" in values else {})})


@dataclass(frozen=True)
class Place:
    """The place of a video in an answer: `number` of `total`, from 1, and the ids before and after it.

    `number` is 0 and the ids are None if the query does not find the video.
    """

    number: int
    total: int
    previous: str | None = None
    next: str | None = None


@dataclass(frozen=True)
class Page:
    """One page of an answer.

    Attributes:
        entries: the index rows of the videos; `Library.get` reads everything of one video.
        total, bytes: the number of matching videos on all pages, and the bytes of all their MP4s.
        page, pages: this page and the last one, from 1 (1 of 1 if no video matches).
        damaged: ids among `entries` whose sidecar or MP4 is missing or unreadable.
        newer: ids among `entries` whose sidecar a newer studio wrote. They can be shown, but not changed.
        place: the place of the video of `Query.around`.
    """

    entries: tuple[Entry, ...]
    total: int
    page: int
    pages: int
    bytes: int
    damaged: tuple[str, ...] = ()
    newer: tuple[str, ...] = ()
    place: Place | None = None


@dataclass(frozen=True)
class Order:
    """One order of the results: its title and its sort key. Equal entries remain newest first.

    Attributes:
        key: the sort key of an entry; None sorts by time of creation. descending: the largest first.
    """

    title: str
    key: Callable[[Entry], Any] | None = None
    descending: bool = False


def _there(value: Any) -> tuple[bool, Any]:
    """A sort key that puts empty values last."""
    return not value, value


SORTS: dict[str, Order] = {
    "newest": Order("Newest first"), "oldest": Order("Oldest first", descending=True),
    "favorites": Order("Favourites first", lambda entry: entry.favorite, True),
    "prompt": Order("Prompt, A to Z", lambda entry: entry.shown),
    "negative_prompt": Order("Negative prompt, A to Z", lambda entry: _there(entry.avoided)),
    "tags": Order("Tags, A to Z", lambda entry: _there(tuple(fold(tag) for tag in entry.tags))),
    "model": Order("Model, A to Z", lambda entry: entry.model),
    "scheduler": Order("Scheduler, A to Z", lambda entry: entry.scheduler),
    "lora": Order("LoRA, A to Z", lambda entry: _there(entry.loras)),
    "owner": Order("Owner, A to Z", lambda entry: _there(entry.owner)),
    "verdict": Order("Verdict: drifted first",
                     lambda entry: (DRIFTED, EQUIVALENT, IDENTICAL, None).index(entry.verdict)),
    "seed": Order("Seed", lambda entry: entry.seed),
    "mode": Order("Mode, A to Z", lambda entry: entry.mode),
    "longest": Order("Most frames", lambda entry: entry.num_frames, True),
    "shortest": Order("Fewest frames", lambda entry: entry.num_frames),
    "most steps": Order("Most steps", lambda entry: entry.num_inference_steps, True),
    "fewest steps": Order("Fewest steps", lambda entry: entry.num_inference_steps),
    "highest guidance": Order("Highest guidance", lambda entry: entry.guidance_scale, True),
    "lowest guidance": Order("Lowest guidance", lambda entry: entry.guidance_scale),
    "most fps": Order("Most frames per second", lambda entry: entry.fps, True),
    "fewest fps": Order("Fewest frames per second", lambda entry: entry.fps),
    "largest": Order("Largest picture", lambda entry: entry.width * entry.height, True),
    "smallest": Order("Smallest picture", lambda entry: entry.width * entry.height),
    "longest render": Order("Longest render", lambda entry: entry.total_s, True),
    "shortest render": Order("Shortest render", lambda entry: entry.total_s),
    "most disk": Order("Largest file", lambda entry: entry.bytes, True),
}
_EXACT = {name: Entry._fields.index(name) for name in (  # fields that are compared by value, and their places in a row
    "model", "seed", "num_frames", "num_inference_steps", "guidance_scale", "fps", "width", "height", "scheduler",
    "mode", "owner", "parent", "verdict", "favorite", "recipe")}


def matching(rows: Blocks, query: Query) -> Sequence[Entry]:
    """The entries that match, in the requested order. It ignores `damaged`.

    Raises:
        BadRequest: an unknown order.
    """
    if query.sort not in SORTS:
        raise BadRequest("sort", f"{query.sort!r} is not an order; choose one of {', '.join(SORTS)}.")
    asked = terms(query.text) + [replace(term, place="negative") for term in terms(query.negative_prompt)]
    anywhere = [term.text for term in asked if term == Term(term.text)]
    entries: Sequence[Entry] = rows.saying(anywhere) if anywhere else rows.newest
    for term in sorted(asked, key=lambda term: (term.excluded, -len(term.text))):  # fewest rows first
        if term != Term(term.text):
            entries = _saying(entries, term)
    for name, at in _EXACT.items():
        wanted = getattr(query, name)
        if wanted is not None:
            entries = [entry for entry in entries if entry[at] == wanted]
    if query.date_from:
        first = str(query.date_from)[:10]
        entries = [entry for entry in entries if entry.created[:10] >= first]
    if query.date_to:
        last = str(query.date_to)[:10]
        entries = [entry for entry in entries if entry.created[:10] <= last]
    for tag in query.tags:
        entries = [entry for entry in entries if tag in entry.tags]
    if query.lora is not None:
        entries = [entry for entry in entries if query.lora in entry.loras]
    order = SORTS[query.sort]
    if order.key is not None:
        return sorted(entries, key=order.key, reverse=order.descending)
    return entries[::-1] if order.descending else entries


@dataclass(frozen=True)
class Term:
    """A word or phrase of a search, folded. `place`: "prompt", "negative", "tag", or "" for all of them."""

    text: str
    excluded: bool = False
    place: str = ""


def terms(text: str) -> list[Term]:
    """The terms of a search text, for example `red "big ball" -dog tag:sea`. A single minus is ignored."""
    found = []
    for minus, place, phrase, word in _TERM.findall(text):
        folded = fold(phrase or word)
        if folded and folded != "-":
            found.append(Term(folded, bool(minus), place.lower()))
    return found


def _saying(entries: Sequence[Entry], term: Term) -> Sequence[Entry]:
    """The entries that have the term in its place; for an excluded term, the entries without it."""
    text = term.text
    if term.place == "":
        return [entry for entry in entries if text not in entry.shown]
    if term.place == "negative":
        return [entry for entry in entries if (text in entry.avoided) is not term.excluded]
    return [entry for entry in entries if _says(entry, term) is not term.excluded]


def _says(entry: Entry, term: Term) -> bool:
    """Whether the prompt or a tag has the term. The exact check runs only if the joined text contains it."""
    texts = entry.tags if term.place == "tag" else (entry.prompt,)
    return term.text in entry.shown and any(term.text in fold(text) for text in texts)
