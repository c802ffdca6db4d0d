"""The changes of a library: one frozen value for each change, with the code that applies it.

The owner of the library applies a change. Another process asks for it through the ledger. The ledger stores the
name of its kind and a JSON object of its fields. A bulk action is one such change for each of its videos.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from core.domain.documents import WrongValue, read
from core.errors import BadRequest, DiskFull, NotFound, ReadOnly, StudioError
from core.library.incoming import REFUSED
from core.library.library import Library


@dataclass(frozen=True)
class LibraryChange(ABC):
    """One change of a library. An empty field leaves its value as it is.

    Attributes:
        kind: its name in the ledger.
    """

    kind: ClassVar[str]

    @abstractmethod
    def apply(self, library: Library) -> Any:
        """Apply the change; returns the answer as JSON. Raises StudioError: the library refuses the change."""

    def ensure(self, library: Library) -> Any:
        """Apply the change, unless it was applied before (for example, a crash followed before the answer)."""
        return self.apply(library)

    def asked_at(self, moment: str) -> "LibraryChange":
        """The same change, requested at that moment (UTC, ISO 8601)."""
        return self

    def arguments(self) -> dict[str, Any]:
        """Its fields, as JSON."""
        return asdict(self)


@dataclass(frozen=True)
class OneVideo(LibraryChange):
    """A change of the video with that id. A bulk action can apply it to many."""

    id: str


@dataclass(frozen=True)
class ChangeVideo(OneVideo):
    """Set the tags or the favourite; `add` and `remove` change single tags."""

    tags: tuple[str, ...] | None = None
    favorite: bool | None = None
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    kind: ClassVar[str] = "change"

    def apply(self, library: Library) -> Any:
        """Returns the changed sidecar."""
        return library.change(self.id, self.tags, self.favorite, self.add, self.remove).document()


@dataclass(frozen=True)
class DeleteVideo(OneVideo):
    """Move it into the trash, or remove it at once if there is no trash.

    Videos that are deleted together have the same `moment`.
    """

    moment: str | None = None
    kind: ClassVar[str] = "delete"

    def apply(self, library: Library) -> Any:
        """Returns whether it is in the trash now."""
        return {"trashed": library.delete(self.id, _moment(self.moment))}

    def ensure(self, library: Library) -> Any:
        """A video that was deleted before is a success."""
        try:
            return self.apply(library)
        except NotFound:
            return {"trashed": library.trash.has(self.id)}

    def asked_at(self, moment: str) -> "DeleteVideo":
        """The same with this moment, unless it already has one."""
        return replace(self, moment=self.moment or moment)


@dataclass(frozen=True)
class RestoreVideo(OneVideo):
    """Bring it back from the trash."""

    kind: ClassVar[str] = "restore"

    def apply(self, library: Library) -> Any:
        """Returns the sidecar."""
        return library.deleting.restore(self.id).document()


@dataclass(frozen=True)
class EraseVideo(OneVideo):
    """Remove it from the trash permanently."""

    kind: ClassVar[str] = "erase"

    def apply(self, library: Library) -> Any:
        """Returns an empty object."""
        library.deleting.erase(self.id)
        return {}

    def ensure(self, library: Library) -> Any:
        """A video that was removed before is a success."""
        try:
            return self.apply(library)
        except NotFound:
            return {}


@dataclass(frozen=True)
class ImportVideo(LibraryChange):
    """Import an MP4; see `Library.import_mp4`."""

    path: str
    name: str = ""
    unknown: bool = False
    owner: str = ""
    kind: ClassVar[str] = "import"

    def apply(self, library: Library) -> Any:
        """Returns the sidecar and the outcome."""
        imported = library.import_mp4(Path(self.path), self.name, self.unknown, self.owner)
        return {"video": imported.video.document(), "outcome": imported.outcome}


@dataclass(frozen=True)
class FoundFile:
    """A video of another library: its MP4, the sidecar beside it, and a video here that shows the same frames."""

    path: str
    beside: str | None = None
    twin: str | None = None


@dataclass(frozen=True)
class MergeVideos(LibraryChange):
    """Import some videos of another library; see `Library.merge`."""

    videos: tuple[FoundFile, ...]
    unknown: bool = False
    kind: ClassVar[str] = "merge"

    def apply(self, library: Library) -> Any:
        """Returns the outcome of each video. A refusal is part of the answer; the next video is tried."""
        return [self._merged(library, each) for each in self.videos]

    def _merged(self, library: Library, each: FoundFile) -> dict[str, str]:
        try:
            merged = library.merge(Path(each.path), Path(each.beside) if each.beside else None, each.twin, self.unknown)
        except (DiskFull, ReadOnly) as error:
            if isinstance(error, DiskFull) or not library.writable:
                raise
            return {"outcome": REFUSED, "reason": str(error)}
        except StudioError as error:
            return {"outcome": REFUSED, "reason": str(error)}
        return {"outcome": merged.outcome, "id": merged.video.id}


@dataclass(frozen=True)
class Reindex(LibraryChange):
    """Rebuild the index from the sidecars."""

    kind: ClassVar[str] = "reindex"

    def apply(self, library: Library) -> Any:
        """Returns the report."""
        return asdict(library.reindex())


CHANGES: dict[str, type[LibraryChange]] = {each.kind: each for each in (
    ChangeVideo, DeleteVideo, RestoreVideo, EraseVideo, ImportVideo, MergeVideos, Reindex)}


def read_change(kind: str, arguments: Mapping[str, Any]) -> LibraryChange:
    """The change that the ledger stores under this kind, with these arguments.

    Raises:
        BadRequest: there is no such change, or an argument is unknown, missing or of another type.
    """
    change = CHANGES.get(kind)
    if change is None:
        raise BadRequest("request", f"{kind!r} is not a change of the library.")
    unknown = sorted(set(arguments) - {field.name for field in fields(change)})
    if unknown:
        raise BadRequest("request", f"the change {kind!r} does not know {', '.join(unknown)}.")
    try:
        return read(change, arguments)
    except WrongValue as error:
        raise BadRequest("request", f"the change {kind!r} cannot be made: {error}.") from error


def _moment(text: str | None) -> datetime | None:
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError as error:
        raise BadRequest("request", f"{text!r} is not a moment.") from error
