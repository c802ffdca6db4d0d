"""The small JSON files of a model folder, each read once until it changes."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any


def read_configuration(path: Path) -> dict[str, Any] | None:
    """A JSON object; None if there is no such file, or it holds another value. It is shared: treat as read-only."""
    try:
        about = path.stat()
    except OSError:
        return None
    return _read(path, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=256)
def _read(path: Path, modified_ns: int, size: int) -> dict[str, Any] | None:
    """`modified_ns` and `size` of the file are part of the cache key, so a changed file is read again."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None
