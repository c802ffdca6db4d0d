"""A change of the library that one process asks of the one that owns it, through the ledger."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Command:
    """Something a process that does not own the library asks of the one that does.

    Attributes:
        kind, args: as `core.library.changes.read_change` takes them.
        attempt: how often it was begun.
    """

    id: int
    kind: str
    args: dict[str, Any]
    attempt: int

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Command":
        """A command as it stands in the ledger."""
        return cls(row["id"], row["kind"], json.loads(row["args"]), row["attempt"])
