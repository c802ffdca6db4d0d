"""A video that is kept: its sidecar, as one frozen value."""

import re
import secrets
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from core.domain.modes import REFERENCE
from core.domain.receipt import Environment, Receipt, Verdict
from core.domain.request import VideoRequest
from core.errors import DamagedVideo, NoRecipe, ReadOnly

SCHEMA = 1
NO_RECEIPT = Receipt("", "", "", "", "", "", {}, Environment("", "", "", "", "", 0))
ANCESTORS = 64  # how many generations a sidecar remembers
INCOMPLETE = "The sidecar is damaged: values are missing from it, or are not what they must be."
ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}")  # ASCII digits only


def new_id(now: datetime | None = None) -> str:
    """A sortable, path-safe id for a job and the video it becomes: `20261122-081301-a1b2c3` (UTC)."""
    now = now or datetime.now(UTC)
    return f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def is_id(text: str) -> bool:
    """Whether `text` has the form of an id; nothing else ever becomes part of a path."""
    return ID.fullmatch(text) is not None


@dataclass(frozen=True)
class Result:
    """The file: exact frames, pixels, frames per second, seconds, bytes, and the SHA-256 of the MP4.

    `fps` is whole in every video the studio made; in one from outside it may be an average, to 3 decimals.
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
    """What a video knows of the one it was made from, so that its story outlives that one.

    Attributes:
        kind: "regenerate" or "remix"; a newer studio may write others.
        created: of the parent, "" when it was gone already; request: what the parent was asked for, else None.
        ancestors: ids of the parent's parent and of those before, nearest first, at most `ANCESTORS`.
    """

    kind: str
    created: str = ""
    request: VideoRequest | None = None
    ancestors: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """The origin as a JSON object."""
        return {"kind": self.kind, "created": self.created, "ancestors": list(self.ancestors),
                "request": self.request.document() if self.request else None}

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "Origin":
        """Read what `document` wrote; raises KeyError, TypeError or AttributeError when it is something else."""
        request = document.get("request")
        return cls(document["kind"], document.get("created", ""),
                   _request(request) if request else None,
                   tuple(document.get("ancestors", ())))


@dataclass(frozen=True)
class Video:
    """One kept video: the content of its sidecar.

    Attributes:
        id: of the job that made it, and of its files.
        created: UTC, ISO 8601.
        owner: a user's name; "" when nobody signs in.
        parent: id of the video it regenerates or remixes, or None.
        origin: what it knows of that video; None without one, and in sidecars older than this field.
        verdict: how it compares with its parent, when it is a regeneration.
        recipe: False for a video from outside, of which nobody knows how it was made: its request holds the name
            of its file as the prompt and nothing else, and its receipt and runtime are empty.
    """

    id: str
    created: str
    owner: str
    parent: str | None
    request: VideoRequest
    receipt: Receipt
    result: Result
    runtime: Runtime
    tags: tuple[str, ...] = ()
    favorite: bool = False
    verdict: Verdict | None = None
    recipe: bool = True
    origin: Origin | None = None
    schema: int = field(default=SCHEMA)

    def document(self) -> dict[str, Any]:
        """The sidecar as a JSON object, in the order of `docs/sidecar.md`."""
        if not self.recipe:
            return {
                "schema": self.schema, "recipe": False, "id": self.id, "created": self.created,
                "owner": self.owner, "parent": None, "tags": list(self.tags), "favorite": self.favorite,
                "name": self.request.prompt, "request": None, "receipt": None, "result": asdict(self.result),
                "runtime": None, "verdict": None,
            }
        return {
            "schema": self.schema, "id": self.id, "created": self.created, "owner": self.owner,
            "parent": self.parent, "tags": list(self.tags), "favorite": self.favorite,
            "request": self.request.document(), "receipt": self.receipt.document(),
            "result": asdict(self.result), "runtime": asdict(self.runtime),
            "verdict": self.verdict.document() if self.verdict else None,
            "origin": self.origin.document() if self.origin else None,
        }

    def asked(self) -> VideoRequest:
        """The request it was made by. Raises NoRecipe for a video from outside."""
        if not self.recipe:
            raise NoRecipe(f"{self.request.prompt} came from outside and has no recipe: how it was made is not "
                           "known, so it cannot be generated again.")
        return self.request

    @classmethod
    def from_document(cls, document: Any) -> "Video":
        """Read a sidecar.

        Raises:
            DamagedVideo: not a sidecar, or values missing.
            ReadOnly: written by a newer studio.
        """
        if not isinstance(document, dict) or not isinstance(document.get("schema"), int):
            raise DamagedVideo("This is not a sidecar of the studio.")
        if document["schema"] > SCHEMA:
            raise ReadOnly(f"This video was written by a newer studio (schema {document['schema']}); "
                           f"this one reads schema {SCHEMA}. Update the studio.")
        try:
            if not is_id(document["id"]):
                raise DamagedVideo(f"The sidecar's id {document['id']!r} is not an id.")
            verdict, origin = document.get("verdict"), document.get("origin")
            kept = {"id": document["id"], "created": document["created"], "owner": document["owner"],
                    "tags": tuple(document["tags"]), "favorite": bool(document["favorite"]),
                    "result": Result(**_known(Result, document["result"]))}
            if document.get("recipe") is False:
                return cls(**kept, parent=None, request=VideoRequest(document["name"]), receipt=NO_RECEIPT,
                           runtime=Runtime(), recipe=False)
            return cls(
                **kept, parent=document["parent"],
                request=_request(document["request"]),
                receipt=Receipt.from_document(document["receipt"]),
                runtime=Runtime(**_known(Runtime, document["runtime"])),
                verdict=Verdict.from_document(verdict) if verdict else None,
                origin=Origin.from_document(origin) if origin else None,
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise DamagedVideo(INCOMPLETE) from error


def _request(document: dict[str, Any]) -> VideoRequest:
    """A request of a sidecar; one that is older than modes means the reference."""
    return VideoRequest(**{"mode": REFERENCE, **_known(VideoRequest, document)})


def _known(kind: type, document: dict[str, Any]) -> dict[str, Any]:
    names = {f.name for f in fields(kind)}
    return {name: value for name, value in document.items() if name in names}
