"""A change of the library that one process asks of the owner of the library, through the ledger."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Command:
    """A change that a process asks of the owner of the library.

    Attributes:
        kind, args: as `core.library.changes.read_change` takes them.
        attempt: the number of times it was begun.
    """

    id: int
    kind: str
    args: dict[str, Any]
    attempt: int

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Command":
        """The command of a row of the ledger."""
        return cls(row["id"], row["kind"], json.loads(row["args"]), row["attempt"])
