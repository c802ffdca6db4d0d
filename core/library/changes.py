"""What may be changed in a library, by name: the words in which another process asks the leader for it."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.errors import BadRequest
from core.library.library import Library


def change_library(library: Library, kind: str, arguments: dict[str, Any]) -> Any:
    """Do one change and return its answer as JSON.

    Args:
        kind: "delete" {id}, "change" {id, tags, favorite}, "import" {path}, "reindex" {}.

    Raises:
        BadRequest: an unknown kind; and what the library itself raises.
    """
    if kind == "delete":
        library.delete(arguments["id"])
        return {}
    if kind == "change":
        tags = arguments.get("tags")
        return library.change(arguments["id"], None if tags is None else tuple(tags),
                              arguments.get("favorite")).document()
    if kind == "import":
        return library.import_mp4(Path(arguments["path"])).document()
    if kind == "reindex":
        return asdict(library.reindex())
    raise BadRequest("request", f"{kind!r} is not a change of the library.")
