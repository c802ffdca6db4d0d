"""What may be changed in a library, by name: the words in which another process asks the leader for it."""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from core.errors import BadRequest, DiskFull, ReadOnly, StudioError
from core.library.incoming import REFUSED, ImportResult
from core.library.library import Library


def change_library(library: Library, kind: str, arguments: dict[str, Any]) -> Any:
    """Do one change and return its answer as JSON.

    Args:
        kind: "delete" {id, moment}, "restore" {id}, "erase" {id}, "change" {id, tags, favorite, add, remove},
            "import" {path, name, unknown, owner}, "merge" {videos: [{path, beside, twin}], unknown},
            "reindex" {}. What is not named is not changed; a moment is ISO 8601.

    Raises:
        BadRequest: an unknown kind; and what the library itself raises.
    """
    if kind == "delete":
        moment = arguments.get("moment")
        return {"trashed": library.delete(arguments["id"], moment and datetime.fromisoformat(moment))}
    if kind == "restore":
        return library.deleting.restore(arguments["id"]).document()
    if kind == "erase":
        library.deleting.erase(arguments["id"])
        return {}
    if kind == "change":
        tags = arguments.get("tags")
        return library.change(arguments["id"], None if tags is None else tuple(tags),
                              arguments.get("favorite"), arguments.get("add", ()),
                              arguments.get("remove", ())).document()
    if kind == "import":
        return _kept(library.import_mp4(Path(arguments["path"]), arguments.get("name", ""),
                                        arguments.get("unknown", False), arguments.get("owner", "")))
    if kind == "merge":
        return [_merged(library, **video, unknown=arguments["unknown"]) for video in arguments["videos"]]
    if kind == "reindex":
        return asdict(library.reindex())
    raise BadRequest("request", f"{kind!r} is not a change of the library.")


def _kept(kept: ImportResult) -> dict[str, Any]:
    return {"video": kept.video.document(), "outcome": kept.outcome}


def _merged(library: Library, path: str, beside: str | None, twin: str | None, unknown: bool) -> dict[str, str]:
    """One video of another library; what speaks against it is part of the answer, and the next one is tried."""
    try:
        kept = library.merge(Path(path), Path(beside) if beside else None, twin, unknown)
    except (DiskFull, ReadOnly) as error:
        if isinstance(error, DiskFull) or not library.writable:
            raise
        return {"outcome": REFUSED, "reason": str(error)}
    except StudioError as error:
        return {"outcome": REFUSED, "reason": str(error)}
    return {"outcome": kept.outcome, "id": kept.video.id}
