"""What is recorded, by the size of the video: a few sizes are kept, and the one used longest ago leaves first."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

MOST_SIZES = 6


@dataclass
class Bucket:
    """The recordings of one size.

    Attributes:
        recordings: by kind of call; None where a call cannot be recorded.
        nbytes: the memory that all of them hold.
        pool: where they have it from, shared by them as only one is replayed at a time; None: nowhere yet.
    """

    recordings: dict[Hashable, Any] = field(default_factory=dict)
    nbytes: int = 0
    pool: Any = None


class Buckets:
    """A bucket for each of the sizes used last."""

    def __init__(self, most: int = MOST_SIZES) -> None:
        """most: sizes that are kept at once."""
        self._most = most
        self._buckets: OrderedDict[Hashable, Bucket] = OrderedDict()

    def items(self) -> tuple[tuple[Hashable, Bucket], ...]:
        """Each size with its bucket, the one used longest ago first."""
        return tuple(self._buckets.items())

    @property
    def nbytes(self) -> int:
        """The memory that all of them hold."""
        return sum(bucket.nbytes for bucket in self._buckets.values())

    def of(self, size: Hashable) -> Bucket:
        """The bucket of a size, a new one where there is none; it is now the one used last."""
        bucket = self._buckets.setdefault(size, Bucket())
        self._buckets.move_to_end(size)
        while len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return bucket

    def make_room(self, size: Hashable, spare_bytes: int) -> int:
        """Let buckets of other sizes go, the longest unused first, until they hold at most `spare_bytes`.

        Returns:
            Bytes that are no longer held.
        """
        freed, held = 0, sum(bucket.nbytes for other, bucket in self.items() if other != size)
        for other, bucket in self.items():
            if other != size and held - freed > spare_bytes:
                del self._buckets[other]
                freed += bucket.nbytes
        return freed
