"""The index row of a video. It holds only the values for search, filters and sorting.

So a hundred thousand rows fit in memory and are read in a second or two. Everything else is in the sidecar.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from operator import itemgetter
from sys import intern
from types import NoneType
from typing import Any, NamedTuple

from core.domain.recipe import Recipe
from core.domain.video import ID, Video

_UNKNOWN = Recipe("", "", "", 0, 0, 0.0, 0, 0, 0, 0, "", "")  # of a video from outside
BETWEEN = "\0"  # is in no prompt and no tag, so that no match spans two of them


def fold(text: str) -> str:
    """Text in its form for comparison: NFKC compatibility forms, no case, single spaces."""
    if text.isascii():  # the usual case, and ten times as fast
        return " ".join(text.lower().split())
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


_fold_repeated = lru_cache(4096)(fold)  # for texts that many videos share, for example the usual negative prompt


class Entry(NamedTuple):
    """One row of the index. A named tuple needs a quarter of the time of a dataclass for a hundred thousand rows.

    Attributes:
        loras: the names of the applied LoRAs.
        recipe: False for a video from outside.
        sidecar_ns: time of the last write of the sidecar (nanoseconds, from the file system). Negative if a newer
            studio wrote it; the row then holds only the readable part.
        shown, avoided: prompt and tags, and the negative prompt, folded. Derived; not in the file.
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
    fps: float
    seed: int
    width: int
    height: int
    scheduler: str
    mode: str
    loras: tuple[str, ...]
    bytes: int
    mp4_sha256: str
    total_s: float
    verdict: str | None
    recipe: bool
    sidecar_ns: int
    shown: str
    avoided: str

    @classmethod
    def of(cls, video: Video, sidecar_ns: int) -> "Entry":
        """The row of a video."""
        recipe, result = video.recipe or _UNKNOWN, video.result
        return cls(
            id=video.id, created=video.created, owner=video.owner, parent=video.parent, prompt=video.title,
            negative_prompt=recipe.negative_prompt, tags=video.tags, favorite=video.favorite,
            model=recipe.model, num_frames=result.num_frames, num_inference_steps=recipe.num_inference_steps,
            guidance_scale=recipe.guidance_scale, fps=result.fps, seed=recipe.seed,
            width=result.width, height=result.height, scheduler=recipe.scheduler, mode=recipe.mode,
            loras=tuple(str(lora.get("name", "")) for lora in video.receipt.loras),
            bytes=result.bytes, mp4_sha256=result.mp4_sha256, total_s=video.runtime.total_s,
            verdict=video.verdict.verdict if video.verdict else None, recipe=video.recipe is not None,
            sidecar_ns=sidecar_ns,
            shown=_shown(video.title, video.tags), avoided=_fold_repeated(recipe.negative_prompt),
        )

    def document(self) -> dict[str, Any]:
        """The row as an object of the index file."""
        return dict(zip(_NAMES, self, strict=False))

    @classmethod
    def from_documents(cls, documents: Iterable[dict[str, Any]]) -> list["Entry"]:
        """Read rows of the index file, a thousand at a time, column by column.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: one of them is not a valid row.
        """
        rows, entries = iter(documents), list["Entry"]()
        while some := list(itertools.islice(rows, _AT_ONCE)):
            entries += _read(some)
        return entries


def _shown(prompt: str, tags: Sequence[str]) -> str:
    return fold(BETWEEN.join((prompt, *tags)) if tags else prompt)


def _read(documents: list[dict[str, Any]]) -> Iterable[Entry]:
    if set(map(len, documents)) != {len(_NAMES)}:
        raise TypeError(f"not every row has {len(_NAMES)} values")
    columns = dict(zip(_NAMES, zip(*map(_values, documents), strict=True), strict=True))
    for name, column in columns.items():
        if not set(map(type, column)) <= _TYPES[name]:
            raise TypeError(f"one of the rows has a {name} of another type")
    ids = "".join(f"{video_id}\n" for video_id in columns["id"])
    if _IDS.fullmatch(ids) is None or ids.count("\n") != len(documents):
        raise ValueError("one of the rows has an id that is none")
    for name in ("tags", "loras"):
        if any(texts and set(map(type, texts)) != {str} for texts in columns[name]):
            raise TypeError(f"the {name} of one of the rows are no names")
        columns[name] = tuple(map(tuple, columns[name]))
    for name in ("owner", "negative_prompt", "model", "scheduler", "mode"):
        columns[name] = tuple(map(intern, columns[name]))
    shown = map(_shown, columns["prompt"], columns["tags"])
    avoided = map(_fold_repeated, columns["negative_prompt"])
    return map(tuple.__new__, itertools.repeat(Entry), zip(*columns.values(), shown, avoided, strict=True))


_NAMES = Entry._fields[:-2]
_values = itemgetter(*_NAMES)
_ALLOWED: dict[Any, set[type]] = {str: {str}, bool: {bool}, int: {int}, float: {int, float}, tuple[str, ...]: {list},
                                  str | None: {str, NoneType}}
_TYPES = {name: _ALLOWED[Entry.__annotations__[name]] for name in _NAMES}  # the types that a value of the file may have
_IDS = re.compile(rf"(?:{ID.pattern}\n)*")
_AT_ONCE = 1000
