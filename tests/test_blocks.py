"""The rows in their blocks, and the search in joined texts: the same as the plain definition, row by row."""

from hypothesis import given, settings
from hypothesis import strategies as st
from samples import entry

from core.library.search import blocks as rows_module
from core.library.search.blocks import Blocks
from core.library.search.entry import Entry, fold
from core.library.search.query import Query, matching, terms

WORDS = ["sea", "a", "at sunrise", "sunrise", "Meer", "SEA", "ea a", "aa", "ß", "ﬁn", "🌊", "\u3000", "."]
texts = st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join)
some_rows = st.lists(st.tuples(texts, texts, st.lists(texts, max_size=2)), max_size=12)
places = st.sampled_from(["", "", "", "prompt:", "negative:", "tag:"])
asked = st.lists(st.tuples(st.sampled_from(["", "-"]), places, st.sampled_from(WORDS)), max_size=4).map(
    lambda parts: " ".join(f'{minus}{place}"{word}"' for minus, place, word in parts))


def made(number: int, prompt: str, negative: str, tags: list[str]) -> Entry:
    return entry(number, prompt, negative_prompt=negative, tags=tuple(tags), seed=number % 3)


def says(row: Entry, text: str, place: str) -> bool:
    """The definition: the folded text is part of the folded prompt, negative prompt or a folded tag."""
    prompt, negative = text in fold(row.prompt), text in fold(row.negative_prompt)
    tag = any(text in fold(each) for each in row.tags)
    return {"prompt": prompt, "negative": negative, "tag": tag, "": prompt or negative or tag}[place]


def plainly(rows: list[Entry], query: Query) -> list[Entry]:
    """Check every row alone. An excluded word may be in the negative prompt."""
    found = []
    for row in sorted(rows, key=lambda row: (row.created, row.id), reverse=True):
        right = query.seed in (None, row.seed)
        for term in terms(query.text):
            if term.excluded and not term.place:
                right &= not says(row, term.text, "prompt") and not says(row, term.text, "tag")
            else:
                right &= says(row, term.text, term.place) is not term.excluded
        found += [row] if right else []
    return found


@settings(max_examples=300, deadline=None)
@given(some_rows, asked, st.sampled_from([None, 1]), st.integers(1, 5))
def test_a_search_finds_what_looking_at_every_row_finds(some, text, seed, block):
    rows = [made(number, *row) for number, row in enumerate(some)]
    before, rows_module.BLOCK = rows_module.BLOCK, block
    try:
        query = Query(text, seed=seed)
        assert matching(Blocks.of(rows), query) == plainly(rows, query)
    finally:
        rows_module.BLOCK = before


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 15), max_size=40), st.integers(1, 4), texts)
def test_rows_that_come_and_go_are_those_a_sorted_list_would_hold(numbers, block, text):
    made_once = [made(number, f"{text} {number}", "sea" if number % 2 else "", []) for number in range(16)]
    remembered = [Query(f'"sea" {word}') for word in ("", "1", "a", "aa", "ea", "s")]  # more than a block stores
    before, rows_module.BLOCK = rows_module.BLOCK, block
    try:
        rows, held = Blocks(), {}
        for number in numbers:
            looked_at, then = rows, rows.newest
            if number in held:
                rows = rows.without(held.pop(number))
            else:
                held[number] = made_once[number]
                rows = rows.added(held[number])
            assert looked_at.newest == then  # a reader still has the old rows
            assert rows.newest == [held[key] for key in sorted(held, reverse=True)]
            assert rows.oldest == rows.newest[::-1] and len(rows) == len(held)
            assert rows.bytes == sum(row.bytes for row in held.values())
            for query in (Query("sea"), Query('"sea 1"'), Query(text), *remembered):
                assert matching(rows, query) == plainly(list(held.values()), query)
    finally:
        rows_module.BLOCK = before
