"""A video that is stored: its sidecar, as one frozen value."""

import re
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from core.domain.documents import read
from core.domain.modes import REFERENCE
from core.domain.receipt import NO_RECEIPT, Receipt
from core.domain.recipe import Recipe
from core.domain.verdict import Verdict
from core.errors import NoRecipe

SCHEMA = 1
ANCESTORS = 64  # the number of generations that a sidecar remembers
REGENERATE, REMIX = "regenerate", "remix"
ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}")  # ASCII digits only


def new_id(now: datetime | None = None) -> str:
    """A sortable, path-safe id for a job and the video it becomes: `20261122-081301-a1b2c3` (UTC)."""
    now = now or datetime.now(UTC)
    return f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def is_id(text: str) -> bool:
    """Whether `text` has the form of an id. Only such a text may become part of a path."""
    return ID.fullmatch(text) is not None


@dataclass(frozen=True)
class Result:
    """The file: exact frames, pixels, frames per second, seconds, bytes, and the SHA-256 of the MP4.

    `fps` is an integer in every video that the studio made. In one from outside it may be an average, to 3 decimals.
    """

    num_frames: int
    width: int
    height: int
    fps: float
    duration_s: float
    bytes: int
    mp4_sha256: str
    codec: str = "h264"


@dataclass(frozen=True)
class Runtime:
    """Seconds per phase, and peak memory in bytes (of the GPU, or of the worker process on a CPU)."""

    queued_s: float = 0.0
    load_s: float = 0.0
    denoise_s: float = 0.0
    decode_s: float = 0.0
    encode_s: float = 0.0
    total_s: float = 0.0
    peak_memory_bytes: int = 0


@dataclass(frozen=True)
class Origin:
    """The facts that a video stores about its parent, so they survive the deletion of the parent.

    Attributes:
        kind: `REGENERATE` or `REMIX`; a newer studio may write others.
        created: of the parent, "" if it was already gone; recipe: the parent's, if it is known.
        ancestors: ids of the earlier ancestors, from the parent's parent on, nearest first, at most `ANCESTORS`.
    """

    kind: str
    created: str = ""
    recipe: Recipe | None = None
    ancestors: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """The origin as a JSON object."""
        return {"kind": self.kind, "created": self.created, "ancestors": list(self.ancestors),
                "request": self.recipe.document() if self.recipe else None}

    @classmethod
    def from_document(cls, document: Any) -> "Origin":
        """Read the object that `document` wrote. Raises WrongValue: a value is missing or has the wrong type."""
        found = read(cls, document, "origin")
        recipe = document.get("request")
        return cls(found.kind, found.created, read_recipe(recipe) if recipe else None, found.ancestors)


@dataclass(frozen=True)
class Video:
    """One stored video: the content of its sidecar.

    Attributes:
        id: of the job that made it, and of its files.
        created: UTC, ISO 8601.
        owner: a user's name; "" when nobody signs in.
        parent: id of the video it regenerates or remixes, or None.
        recipe: how it was made; None for a video from outside. The sidecar calls it "request".
        receipt, runtime: empty for a video from outside (`NO_RECEIPT`).
        origin: the facts about its parent; None without a parent, and in sidecars older than this field.
        verdict: the result of the comparison with its parent, if it is a regeneration.
        name: the name of the file, for a video from outside; else "".
    """

    id: str
    created: str
    owner: str
    parent: str | None
    recipe: Recipe | None
    receipt: Receipt
    result: Result
    runtime: Runtime
    tags: tuple[str, ...] = ()
    favorite: bool = False
    verdict: Verdict | None = None
    origin: Origin | None = None
    name: str = ""

    @property
    def title(self) -> str:
        """Its prompt, or the name of its file."""
        return self.recipe.prompt if self.recipe else self.name

    def known_recipe(self) -> Recipe:
        """How it was made. Raises NoRecipe for a video from outside."""
        if self.recipe is None:
            raise NoRecipe(f"{self.name} came from outside and has no recipe: its settings are unknown, so it "
                           "cannot be generated again.")
        return self.recipe

    def document(self) -> dict[str, Any]:
        """The sidecar as a JSON object, in the order of `docs/sidecar.md`."""
        if self.recipe is None:
            return {
                "schema": SCHEMA, "recipe": False, "id": self.id, "created": self.created,
                "owner": self.owner, "parent": None, "tags": list(self.tags), "favorite": self.favorite,
                "name": self.name, "request": None, "receipt": None, "result": asdict(self.result),
                "runtime": None, "verdict": None,
            }
        return {
            "schema": SCHEMA, "id": self.id, "created": self.created, "owner": self.owner,
            "parent": self.parent, "tags": list(self.tags), "favorite": self.favorite,
            "request": self.recipe.document(), "receipt": self.receipt.document(),
            "result": asdict(self.result), "runtime": asdict(self.runtime),
            "verdict": self.verdict.document() if self.verdict else None,
            "origin": self.origin.document() if self.origin else None,
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "Video":
        """Read the object that `document` wrote, with the types that the class declares.

        Raises:
            WrongValue: a value is missing or has the wrong type.
        """
        outside = document.get("recipe") is False
        verdict, origin = document.get("verdict"), document.get("origin")
        head = read(_Head, document)
        return cls(
            **vars(head),
            parent=None if outside else read(_Parent, document).parent,
            recipe=None if outside else read_recipe(document.get("request")),
            receipt=NO_RECEIPT if outside else read(Receipt, document.get("receipt"), "receipt"),
            runtime=Runtime() if outside else read(Runtime, document.get("runtime"), "runtime"),
            verdict=None if outside or not verdict else read(Verdict, verdict, "verdict"),
            origin=None if outside or not origin else Origin.from_document(origin),
            name=read(_Name, document).name if outside else "")


@dataclass(frozen=True)
class _Head:
    """The fields that the sidecars of all videos have."""

    id: str
    created: str
    owner: str
    tags: tuple[str, ...]
    favorite: bool
    result: Result


@dataclass(frozen=True)
class _Parent:
    parent: str | None


@dataclass(frozen=True)
class _Name:
    name: str


def read_recipe(document: Any) -> Recipe:
    """A recipe of a sidecar or a job. A recipe older than modes means the reference. Raises WrongValue."""
    older = isinstance(document, dict) and document.get("mode") is None
    return read(Recipe, {**document, "mode": REFERENCE} if older else document, "request")
