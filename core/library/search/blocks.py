"""All rows of the index, in order, at one moment.

The rows are in immutable blocks. A change replaces one block, so a reader's rows never change. Each block stores
which rows have which word. A search then reads only the different words, a tenth of the text. The first searches of
a changed block read its text instead, because they take less time than the table of its words. Each block also
stores its last answers. So after a change the same search reads only the one new block.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import accumulate, chain, count
from operator import add, attrgetter

from core.library.search.entry import BETWEEN, Entry

BLOCK = 512  # rows of a new block; a block with twice as many is split
_REMEMBERED = 4  # stored answers of a block
_READ_AS_TEXT = 3  # a changed block answers this many searches before it makes the table of its words
_FEW = 8  # with so few rows left, the search reads the rows themselves
_END = "\n"  # is in no folded text, so that no match spans two rows


class _Block:
    """Some consecutive rows, oldest first; immutable."""

    def __init__(self, entries: tuple[Entry, ...]) -> None:
        self.entries = entries
        self._answers: dict[tuple[str, ...], list[Entry]] = {}
        self._asked = 0

    @cached_property
    def bytes(self) -> int:
        return sum(map(attrgetter("bytes"), self.entries))

    @cached_property
    def shown(self) -> str:
        return _END.join(map(attrgetter("shown"), self.entries))

    @cached_property
    def _begins(self) -> list[int]:
        """The position in `shown` where each row begins, and the position after the last row."""
        return [0, *map(add, accumulate(map(len, map(attrgetter("shown"), self.entries))), count(1))]

    @cached_property
    def _avoided(self) -> str:
        return _END.join(set(map(attrgetter("avoided"), self.entries)))

    @cached_property
    def words(self) -> tuple[str, dict[str, int]]:
        """All words of `shown`, joined; and for each word a bit set of the rows that have it."""
        having: dict[str, int] = {}
        bit = 1
        for entry in self.entries:
            for word in set(entry.shown.replace(BETWEEN, " ").split(" ")):
                having[word] = having.get(word, 0) | bit
            bit <<= 1
        return _END.join(("", *having, "")), having

    def saying(self, texts: tuple[str, ...], parts: list[str]) -> list[Entry]:
        """The rows with each of the texts, oldest first. The list is shared; treat it as read-only.

        `parts`: parts of words that such rows must have, see `_parts`.
        """
        known = self._answers.get(texts)
        if known is None:
            if len(self._answers) >= _REMEMBERED:
                self._answers = {}
            known = self._answers[texts] = self._saying(texts, parts)
        return known

    def _saying(self, texts: tuple[str, ...], parts: list[str]) -> list[Entry]:
        self._asked += 1
        avoided = self._avoided
        if any(text in avoided for text in texts):
            return [entry for entry in self.entries
                    if all(text in entry.shown or text in entry.avoided for text in texts)]
        if self._asked > _READ_AS_TEXT or "words" in self.__dict__:
            return self._by_words(texts, parts)
        return self._by_text(*texts)

    def _by_words(self, texts: tuple[str, ...], parts: list[str]) -> list[Entry]:
        bits = -1
        for part in parts:
            bits &= self._with_part(part)
            if bits.bit_count() <= _FEW:
                break
        found = []
        while bits:
            lowest = bits & -bits
            entry = self.entries[lowest.bit_length() - 1]
            for text in texts:
                if text not in entry.shown:  # the words are there, but in another place or order
                    break
            else:
                found.append(entry)
            bits ^= lowest
        return found

    def _with_part(self, part: str) -> int:
        """A bit set of the rows that have a word with this part."""
        words, having = self.words
        bits, here = 0, words.find(part)
        while here >= 0:
            end = words.find(_END, here + 1)
            bits |= having[words[words.rfind(_END, 0, here + 1) + 1:end]]
            here = words.find(part, end)
        return bits

    def _by_text(self, first: str, *others: str) -> list[Entry]:
        found, look, begins, here = [], self.shown.find, self._begins, self.shown.find(first)
        while here >= 0:
            number = bisect_right(begins, here)
            begin, end = begins[number - 1], begins[number]
            for text in others:
                if look(text, begin, end) < 0:
                    break
            else:
                found.append(self.entries[number - 1])
            here = look(first, end)
        return found


class Blocks:
    """All entries at one moment; immutable. Safe in threads."""

    def __init__(self, blocks: tuple[_Block, ...] = ()) -> None:
        self._blocks = blocks  # not one is empty; oldest first

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "Blocks":
        """These entries, given in any order."""
        oldest = tuple(sorted(entries, key=_order))
        blocks = tuple(_Block(oldest[at:at + BLOCK]) for at in range(0, len(oldest), BLOCK))
        for block in blocks:
            block.words  # noqa: B018 (makes the table of words)
        return cls(blocks)

    def added(self, entry: Entry) -> "Blocks":
        """These rows and one more with a new id."""
        number = max(0, bisect_right(self._blocks, _order(entry), key=_first) - 1)
        old = self._blocks[number].entries if self._blocks else ()
        at = bisect_left(old, _order(entry), key=_order)
        return self._with(number, (*old[:at], entry, *old[at:]))

    def without(self, entry: Entry) -> "Blocks":
        """These rows without one of them."""
        number = bisect_right(self._blocks, _order(entry), key=_first) - 1
        old = self._blocks[number].entries
        at = bisect_left(old, _order(entry), key=_order)
        return self._with(number, old[:at] + old[at + 1:])

    def _with(self, number: int, entries: tuple[Entry, ...]) -> "Blocks":
        """These rows, with `entries` as the block of that number."""
        half = len(entries) if len(entries) < 2 * BLOCK else BLOCK
        blocks = tuple(_Block(part) for part in (entries[:half], entries[half:]) if part)
        return Blocks((*self._blocks[:number], *blocks, *self._blocks[number + 1:]))

    def __len__(self) -> int:
        return sum(len(block.entries) for block in self._blocks)

    @cached_property
    def newest(self) -> list[Entry]:
        """All entries, newest first. The list is shared; treat it as read-only."""
        return self.oldest[::-1]

    @property
    def oldest(self) -> list[Entry]:
        """All entries, oldest first."""
        return list(chain.from_iterable(block.entries for block in self._blocks))

    @cached_property
    def bytes(self) -> int:
        """The bytes of all their MP4s together."""
        return sum(block.bytes for block in self._blocks)

    def saying(self, texts: Sequence[str]) -> list[Entry]:
        """The entries with each of these folded texts in prompt, negative prompt or a tag, newest first."""
        if not self._blocks:
            return []
        rarest_first = tuple(sorted(texts, key=self._blocks[0].shown.count))  # leaves the fewest rows
        parts = sorted(chain.from_iterable(map(_parts, texts)), key=len, reverse=True)
        return list(chain.from_iterable(block.saying(rarest_first, parts) for block in self._blocks))[::-1]


def _parts(text: str) -> list[str]:
    """The parts of words that a row with `text` must have, with the necessary ends of words."""
    words = text.split(" ")
    if len(words) == 1:
        return words
    return [words[0] + _END, *(f"{_END}{word}{_END}" for word in words[1:-1]), _END + words[-1]]


def _order(entry: Entry) -> tuple[str, str]:
    return entry.created, entry.id


def _first(block: _Block) -> tuple[str, str]:
    return _order(block.entries[0])
