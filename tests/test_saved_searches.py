"""A search with a name stays until it is deleted, in every process, and survives damage to its file."""

import json
import threading
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadRequest, DamagedVideo, NotFound, ReadOnly
from core.library.search.query import SORTS, Query, query_from
from core.library.search.saved_searches import MAX_COUNT, SavedSearches

NIGHT = Query('night -"neon city"', tags=("to redo",), num_frames=16, guidance_scale=7.5, favorite=True,
              date_from=date(2026, 3, 1), sort="seed", page=3, around="20261122-081301-a1b2c3")


@pytest.fixture
def searches(tmp_path):
    return SavedSearches(tmp_path / "searches.json")


def names(searches: SavedSearches) -> list[str]:
    return [saved.name for saved in searches.all()]


def test_a_search_is_saved_found_again_renamed_and_deleted(searches, tmp_path):
    assert searches.all() == ()
    searches.save("  Night,   unfinished ", NIGHT)
    searches.save("boats", Query("boat"))
    other = SavedSearches(tmp_path / "searches.json")
    assert names(other) == ["boats", "Night, unfinished"]
    kept = other.all()[1].query
    assert kept == Query('night -"neon city"', tags=("to redo",), num_frames=16, guidance_scale=7.5, favorite=True,
                         date_from="2026-03-01", sort="seed")
    other.rename("boats", "ships")
    other.rename("ships", "ships")
    searches.save("ships", Query("tall ship"))
    assert names(searches) == ["Night, unfinished", "ships"] and searches.all()[1].query.text == "tall ship"
    searches.delete("ships")
    assert names(other) == ["Night, unfinished"]
    assert json.loads((tmp_path / "searches.json").read_bytes())["schema"] == 1


@pytest.mark.parametrize("name", ["", "  \n", "x" * 65, "a\0b", "half \ud800"])
def test_a_name_that_cannot_be_is_refused_with_a_sentence(searches, name, tmp_path):
    with pytest.raises(BadRequest):
        searches.save(name, NIGHT)
    searches.save("good", NIGHT)
    with pytest.raises(BadRequest):
        searches.rename("good", name)
    assert names(searches) == ["good"]


def test_a_search_that_is_missing_or_taken_or_empty_is_refused(searches):
    searches.save("one", NIGHT)
    searches.save("two", NIGHT)
    for action in (lambda: searches.delete("three"), lambda: searches.rename("three", "four")):
        with pytest.raises(NotFound, match="three"):
            action()
    with pytest.raises(BadRequest, match="another"):
        searches.rename("one", "two")
    with pytest.raises(BadRequest, match="empty"):
        searches.save("everything", Query(page=2))
    for number in range(MAX_COUNT - 2):
        searches.save(f"more {number}", NIGHT)
    with pytest.raises(BadRequest, match="already"):
        searches.save("one too many", NIGHT)
    searches.save("one", Query("another text"))
    assert len(searches.all()) == MAX_COUNT


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"schema": 1}',
                                     b'{"schema": "x", "searches": []}', b"\xff\xfe",
                                     b'{"schema": 1, "searches": [7]}'])
def test_a_damaged_file_is_said_and_put_aside_by_the_next_save(searches, tmp_path, content):
    (tmp_path / "searches.json").write_bytes(content)
    with pytest.raises(DamagedVideo, match="cannot be read"):
        searches.all()
    searches.save("fresh", NIGHT)
    assert names(searches) == ["fresh"]
    assert [aside.read_bytes() for aside in tmp_path.glob("searches.corrupt-*.json")] == [content]


def test_a_newer_file_is_left_alone(searches, tmp_path):
    newer = b'{"schema": 2, "searches": []}'
    (tmp_path / "searches.json").write_bytes(newer)
    for action in (searches.all, lambda: searches.save("x", NIGHT)):
        with pytest.raises(ReadOnly, match="newer"):
            action()
    assert (tmp_path / "searches.json").read_bytes() == newer


def test_a_search_that_is_not_understood_is_passed_over_and_kept(searches, tmp_path):
    strange = [{"name": "strange", "query": {"colour": "red"}}, {"name": "odd", "query": {"seed": "x"}}, {}]
    document = {"schema": 1, "searches": [*strange, {"name": "good", "query": {"text": "boat"}}]}
    (tmp_path / "searches.json").write_text(json.dumps(document), encoding="utf-8")
    assert names(searches) == ["good"]
    searches.save("new", NIGHT)
    assert names(searches) == ["good", "new"]
    assert json.loads((tmp_path / "searches.json").read_bytes())["searches"][:3] == strange


def test_many_threads_and_two_openers_lose_nothing(tmp_path):
    both = [SavedSearches(tmp_path / "searches.json") for _ in range(2)]
    threads = [threading.Thread(target=both[number % 2].save, args=(f"search {number:02d}", NIGHT))
               for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(both[0]) == [f"search {number:02d}" for number in range(16)]


@given(st.builds(Query, text=st.text(max_size=30), negative_prompt=st.text(max_size=9),
                 seed=st.none() | st.integers(0, 2**63 - 1), guidance_scale=st.none() | st.floats(1, 30),
                 width=st.none() | st.just(64), favorite=st.none() | st.booleans(), damaged=st.booleans(),
                 tags=st.lists(st.text(max_size=5)).map(tuple), owner=st.none() | st.text(max_size=5),
                 date_to=st.none() | st.dates().map(str), sort=st.sampled_from(sorted(SORTS))))
def test_any_query_comes_back_from_its_document(query):
    assert query_from(json.loads(json.dumps(query.document()))) == query


@pytest.mark.parametrize("document", [None, [], {"page": 2}, {"text": 7}, {"seed": True}, {"tags": [1]},
                                      {"date_to": "soon"}, {"sort": "best"}, {"favorite": 1}])
def test_a_document_that_is_no_query_is_refused(document):
    with pytest.raises(BadRequest):
        query_from(document)
