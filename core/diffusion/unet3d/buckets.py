"""Recordings by the size of the video: a few sizes stay, and the size used longest ago leaves first."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

MOST_SIZES = 6


@dataclass
class Bucket:
    """The recordings of one size.

    Attributes:
        recordings: by kind of call; None for a call that cannot be recorded.
        nbytes: the memory that all recordings hold.
        pool: the memory pool of all recordings, shared because only one is replayed at a time; None: no pool yet.
    """

    recordings: dict[Hashable, Any] = field(default_factory=dict)
    nbytes: int = 0
    pool: Any = None


class Buckets:
    """A bucket for each of the sizes used last."""

    def __init__(self, most: int = MOST_SIZES) -> None:
        """most: the number of sizes that stay at once."""
        self._most = most
        self._buckets: OrderedDict[Hashable, Bucket] = OrderedDict()

    def items(self) -> tuple[tuple[Hashable, Bucket], ...]:
        """Each size with its bucket, the one used longest ago first."""
        return tuple(self._buckets.items())

    @property
    def nbytes(self) -> int:
        """The memory that all recordings hold."""
        return sum(bucket.nbytes for bucket in self._buckets.values())

    def of(self, size: Hashable) -> Bucket:
        """The bucket of a size; a new one if there is none. It counts as used last now."""
        bucket = self._buckets.setdefault(size, Bucket())
        self._buckets.move_to_end(size)
        while len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return bucket

    def make_room(self, size: Hashable, spare_bytes: int) -> int:
        """Drop buckets of other sizes, the longest unused first, until they hold at most `spare_bytes`.

        Returns:
            The freed bytes.
        """
        freed, held = 0, sum(bucket.nbytes for other, bucket in self.items() if other != size)
        for other, bucket in self.items():
            if other != size and held - freed > spare_bytes:
                del self._buckets[other]
                freed += bucket.nbytes
        return freed
