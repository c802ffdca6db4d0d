"""The values that occur in a library, for the filters. Each change updates the counts; there is no new count."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields
from itertools import chain
from operator import attrgetter
from typing import Any

from core.library.search.entry import Entry


@dataclass(frozen=True)
class Facets:
    """The values that occur, each list sorted; empty values are left out."""

    models: tuple[str, ...]
    tags: tuple[str, ...]
    owners: tuple[str, ...]
    schedulers: tuple[str, ...]
    modes: tuple[str, ...]
    loras: tuple[str, ...]
    num_frames: tuple[int, ...]
    num_inference_steps: tuple[int, ...]
    guidance_scales: tuple[float, ...]
    fps: tuple[int, ...]
    sizes: tuple[tuple[int, int], ...]  # width, height


_OF = {"models": "model", "tags": "tags", "owners": "owner", "schedulers": "scheduler", "modes": "mode",
       "loras": "loras", "num_frames": "num_frames", "num_inference_steps": "num_inference_steps",
       "guidance_scales": "guidance_scale", "fps": "fps", "sizes": ("width", "height")}
_LISTS = ("tags", "loras")  # an entry has any number of these


class FacetCount:
    """Counts how often each value occurs in `entries`, and follows the later changes of entries."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        entries = list(entries)
        self._counts: dict[str, Counter[Any]] = {}
        for name, of in _OF.items():
            values = map(attrgetter(of) if isinstance(of, str) else attrgetter(*of), entries)
            self._counts[name] = Counter(chain.from_iterable(values) if name in _LISTS else values)

    def exchange(self, old: Entry | None, new: Entry | None) -> None:
        """Replace the old entry by the new one. None as old: an added entry; None as new: a removed one."""
        for entry, change in ((old, -1), (new, 1)):
            if entry is not None:
                for name, counter in self._counts.items():
                    for value in _values(entry, name):
                        counter[value] += change

    def facets(self) -> Facets:
        """The values that occur now."""
        return Facets(**{f.name: tuple(sorted(value for value, count in self._counts[f.name].items()
                                              if count > 0 and value != "")) for f in fields(Facets)})


def _values(entry: Entry, name: str) -> Iterable[Any]:
    of = _OF[name]
    if not isinstance(of, str):
        return (tuple(getattr(entry, each) for each in of),)
    value = getattr(entry, of)
    values: Iterable[Any] = value if name in _LISTS else (value,)
    return values
