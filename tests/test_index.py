"""The index finds all entries, survives damage to its file, and stays a TinyDB file."""

import json
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import HOSTILE, entry
from tinydb import TinyDB, where

from core.errors import BadRequest, ReadOnly
from core.library.search import index as index_module
from core.library.search.blocks import Blocks
from core.library.search.entry import Entry, fold
from core.library.search.facets import FacetCount
from core.library.search.index import FORMAT, Index
from core.library.search.query import SORTS, Query, matching, terms

ROOT = Path(__file__).resolve().parent.parent
valid_text = st.text(st.characters(codec="utf-8"), max_size=80)


def open_index(folder: Path, writable: bool = True) -> Index:
    return Index(folder / "index.json", writable)


def ids(entries: object) -> list[str]:
    return [row.id for row in entries]


# The file


def test_entries_are_there_newest_first_also_after_opening_again(tmp_path):
    rows = [entry(number) for number in range(50)]
    shuffled = random.Random(0).sample(rows, 50)
    index = open_index(tmp_path)
    assert index.problem == "missing"
    for row in shuffled:
        index.put(row)
    assert index.all() == rows[::-1] and index.get(rows[7].id) == rows[7]
    index.remove(rows[7].id)
    index.remove("20200101-000000-000000")
    index.put(rows[8]._replace(favorite=True, created=rows[49].created + "x"))
    index.close()
    again = open_index(tmp_path)
    assert again.problem == "" and again.get(rows[7].id) is None
    assert again.all()[0] == rows[8]._replace(favorite=True, created=rows[49].created + "x")
    assert len(again.all()) == 49
    again.close()


def test_plain_tinydb_opens_searches_and_changes_the_file(tmp_path):
    index = open_index(tmp_path)
    index.put(entry(1, "a cat", seed=7))
    index.put(entry(2, "a dog", seed=8))
    index.close()
    with TinyDB(tmp_path / "index.json") as plain:
        assert [row["prompt"] for row in plain.search(where("seed") == 8)] == ["a dog"]
        plain.update({"prompt": "a big dog"}, where("seed") == 8)
    again = open_index(tmp_path)
    assert again.problem == "" and again.all()[0].prompt == "a big dog"
    again.close()


def damages(good: bytes) -> dict[str, bytes]:
    document = json.loads(good)
    row = document["_default"]["1"]

    def with_row(**changes: object) -> bytes:
        return json.dumps({**document, "_default": {"1": {**row, **changes}}}).encode()

    return {
        "empty": b"", "half": good[: len(good) // 2], "garbage": b"\x80\x81garbage", "nul bytes": bytes(len(good)),
        "two documents": good + good, "a list": b"[]", "a number": b"7", "null": b"null",
        "another program's": b'{"_default": {"1": {"name": "x"}}}',
        "no rows": b'{"about": {"1": {"format": %d}}}' % FORMAT,
        "a format in words": json.dumps({**document, "about": {"1": {"format": "newest"}}}).encode(),
        "a row that is a list": json.dumps({**document, "_default": {"1": []}}).encode(),
        "a row of another shape": with_row(extra=1), "a seed in words": with_row(seed="seven"),
        "a path for an id": with_row(id="../../etc/passwd"), "tags that are a number": with_row(tags=5),
        "tags of numbers": with_row(tags=[1]), "nothing for a prompt": with_row(prompt=None),
        "too deep": b"[" * 100_000,
        "two ids in one row and none in another": json.dumps({**document, "_default": {
            "1": {**row, "id": f"{row.get('id')}\n{row.get('id')}"}, "2": {**row, "id": ""}}}).encode(),
        "a damaged row among many": json.dumps({**document, "_default": {
            str(number): {**row, "seed": number if number < 1234 else "x"} for number in range(1235)}}).encode(),
    }


def test_a_file_of_an_earlier_studio_is_made_again_and_not_called_damaged(tmp_path):
    index = open_index(tmp_path)
    index.put(entry(1))
    index.close()
    path = tmp_path / "index.json"
    path.write_bytes(path.read_bytes().replace(b'"format":%d' % FORMAT, b'"format":1'))
    opened = open_index(tmp_path)
    assert (opened.problem, list(opened.all()), opened.quarantine) == ("outdated", [], None)
    opened.put(entry(1))
    opened.close()
    assert open_index(tmp_path, writable=False).problem == ""


def test_a_file_of_a_newer_studio_is_left_as_it_is_and_never_written(tmp_path):
    index = open_index(tmp_path)
    index.put(entry(1))
    index.close()
    path = tmp_path / "index.json"
    newer = path.read_bytes().replace(b'"format":%d' % FORMAT, b'"format":99')
    path.write_bytes(newer)
    for writable in (True, False):
        opened = open_index(tmp_path, writable)
        assert (opened.problem, opened.format, list(opened.all()), opened.quarantine) == ("newer", 99, [], None)
        with pytest.raises(ReadOnly):
            opened.put(entry(2))
        opened.replace_all([entry(3)])  # in memory, from the sidecars
        opened.close()
        assert path.read_bytes() == newer and [file.name for file in tmp_path.iterdir()] == ["index.json"]


KINDS = list(damages(json.dumps({"_default": {"1": {}}, "about": {}}).encode()))


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_put_aside_and_said(tmp_path, kind):
    index = open_index(tmp_path)
    index.put(entry(1))
    index.close()
    path = tmp_path / "index.json"
    broken = damages(path.read_bytes())[kind]
    path.write_bytes(broken)

    reader = open_index(tmp_path, writable=False)
    assert (reader.problem, list(reader.all()), reader.quarantine) == ("damaged", [], None)
    assert path.read_bytes() == broken
    reader.close()

    writer = open_index(tmp_path)
    assert (writer.problem, list(writer.all())) == ("damaged", [])
    assert writer.quarantine.read_bytes() == broken and writer.quarantine.name.startswith("index.corrupt-")
    writer.put(entry(2))
    writer.close()
    again = open_index(tmp_path)
    assert again.problem == "" and ids(again.all()) == [entry(2).id]
    again.close()


def test_a_reader_follows_the_writer_and_never_writes(tmp_path):
    reader = open_index(tmp_path, writable=False)
    assert reader.problem == "missing" and not reader.refresh()
    writer = open_index(tmp_path)
    writer.put(entry(1))
    assert reader.refresh() and ids(reader.all()) == [entry(1).id] and reader.problem == ""
    assert not reader.refresh()
    writer.put(entry(2))
    assert reader.refresh() and len(reader.all()) == 2
    for change in (lambda: reader.put(entry(3)), lambda: reader.remove(entry(1).id)):
        with pytest.raises(ReadOnly, match="Another studio"):
            change()
    (tmp_path / "index.json").write_bytes(b"{")
    assert reader.refresh() and reader.problem == "damaged" and len(reader.all()) == 2
    before = sorted(tmp_path.iterdir())
    reader.close()
    assert sorted(tmp_path.iterdir()) == before
    writer.close()


def test_many_threads_lose_nothing(tmp_path):
    index = open_index(tmp_path)

    def work(part: int) -> None:
        for number in range(part * 40, part * 40 + 40):
            index.put(entry(number))
            index.all()
            if number % 4 == 0:
                index.remove(entry(number).id)

    threads = [threading.Thread(target=work, args=(part,)) for part in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = [entry(number).id for number in reversed(range(320)) if number % 4]
    assert sorted(ids(index.all())) == sorted(expected)
    index.close()
    again = open_index(tmp_path)
    assert sorted(ids(again.all())) == sorted(expected)
    again.close()


def test_a_large_index_is_written_in_the_background_and_at_close(tmp_path, monkeypatch):
    monkeypatch.setattr(index_module, "INLINE_ROWS", 0)  # every index counts as large
    monkeypatch.setattr(index_module, "DELAY_S", 0.05)
    index = open_index(tmp_path)
    path = tmp_path / "index.json"
    index.put(entry(1))
    assert not path.exists()
    deadline = time.monotonic() + 10
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(json.loads(path.read_bytes())["_default"]) == 1
    monkeypatch.setattr(index_module, "DELAY_S", 60.0)
    index.put(entry(2))
    index.put(entry(3))
    index.close()
    assert len(json.loads(path.read_bytes())["_default"]) == 3


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 6, 7])
def test_a_file_written_in_pieces_is_an_ordinary_tinydb_file(tmp_path, monkeypatch, count):
    monkeypatch.setattr(index_module, "PIECE_ROWS", 3)
    index = open_index(tmp_path)
    rows = [entry(number) for number in range(count)]
    index.replace_all(rows)
    index.close()
    with TinyDB(tmp_path / "index.json") as plain:
        assert [row["id"] for row in plain.all()] == ids(rows)
        assert [row.doc_id for row in plain.all()] == list(range(1, count + 1))
    again = open_index(tmp_path)
    assert again.problem == "" and again.all() == rows[::-1]
    again.close()


def test_the_shared_list_is_the_same_until_something_changes(tmp_path):
    index = open_index(tmp_path)
    index.put(entry(1))
    before = index.all()
    assert index.all() is before
    index.put(entry(2))
    assert len(before) == 1 and len(index.all()) == 2
    index.close()


FULL = """
import resource, signal, sys
sys.path.insert(0, "tests")
from pathlib import Path
from core.errors import DiskFull
from core.library.search.index import FORMAT, Index
from samples import entry
index = Index(Path(sys.argv[1]) / "index.json", True)
for number in range(5):
    index.put(entry(number))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
for number in range(5, 40):
    index.put(entry(number))
print(len(index.all()))
try:
    index.flush()
except DiskFull as error:
    print(error)
index.close()
"""


def test_a_full_disk_leaves_the_old_file_complete_and_the_rows_in_memory(tmp_path):
    done = subprocess.run([sys.executable, "-W", "error", "-c", FULL, str(tmp_path)], cwd=ROOT, text=True,
                          capture_output=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("40\nThere is no room left"), done.stdout
    assert [file.name for file in tmp_path.iterdir()] == ["index.json"]
    index = open_index(tmp_path)
    assert index.problem == "" and len(index.all()) == 5
    index.close()


@settings(max_examples=60, deadline=None)
@given(valid_text, valid_text, st.lists(valid_text, max_size=3), st.integers(0, 2**63 - 1),
       st.floats(1, 30), st.sampled_from(sorted(HOSTILE)))
def test_any_valid_text_and_number_comes_back(tmp_path_factory, prompt, negative, tags, seed, scale, kind):
    folder = tmp_path_factory.mktemp("index")
    row = entry(1, HOSTILE[kind] + prompt, negative_prompt=negative, seed=seed, guidance_scale=scale,
                tags=tuple(tags))
    index = open_index(folder)
    index.put(row)
    index.close()
    again = open_index(folder)
    assert again.all() == [row]
    again.close()


# The questions


def found(rows: list[Entry], text: str = "", **query: object) -> list[str]:
    return [row.prompt for row in matching(Blocks.of(rows), Query(text=text, **query))]


PROMPTS = ["A red ball, bouncing", "red  Snow over a neon city", "blue ball", "STRASSE und Maße",
           "the ﬁrst cafe\u0301"]
ROWS = [entry(number, prompt) for number, prompt in reversed(list(enumerate(PROMPTS)))]


@pytest.mark.parametrize(("text", "expected"), [
    ("", 5), ("   ", 5), ("red", 2), ("RED BALL", 1), ("ball red", 1), ('"red ball"', 1), ('"ball red"', 0),
    ('"red snow"', 1), ("red -ball", 1), ('-"red ball" ball', 1), ("-red -ball", 2), ("strasse", 1), ("maße", 1),
    ("first", 1), ("café", 1), ("cafe\u0301", 1), ("bounc", 1), ('"neon city', 1), ("-", 5), ('""', 5), ('-""', 5),
    ("xyz", 0), ("red\u3000ball", 1), (".*", 0), ("--", 5),
])
def test_a_search_finds_words_phrases_and_exclusions(text, expected):
    assert len(found(ROWS, text)) == expected


def test_a_search_looks_into_tags_but_not_across_them():
    rows = [entry(1, "a ball", tags=("best of", "Winter"))]
    assert found(rows, '"best of" winter ball') == ["a ball"]
    assert found(rows, '"of winter"') == [] and found(rows, '"ball best"') == []


def test_a_search_looks_into_the_negative_prompt_where_an_excluded_word_may_stand():
    rows = [entry(3, "snow on a hill", negative_prompt="blurry, rain"), entry(2, "rain on a hill"),
            entry(1, "a hill", tags=("Rain",), negative_prompt="snow")]
    assert found(rows, "rain") == ["snow on a hill", "rain on a hill", "a hill"]
    assert found(rows, "-rain") == ["snow on a hill"]
    assert found(rows, "negative:rain") == ["snow on a hill"] == found(rows, 'Negative:"blurry, rain"')
    assert found(rows, "-negative:rain") == ["rain on a hill", "a hill"]
    assert found(rows, "prompt:rain") == ["rain on a hill"] and found(rows, "tag:rain") == ["a hill"]
    assert found(rows, "-prompt:rain hill") == ["snow on a hill", "a hill"]
    assert found(rows, "-tag:rain rain") == ["snow on a hill", "rain on a hill"]
    assert found(rows, '"prompt:rain"') == [] and found(rows, "tag:") == []
    assert found(rows, "tag:hill") == []


@settings(max_examples=200)
@given(valid_text)
def test_a_prompt_is_found_by_each_of_its_own_words(prompt):
    row = entry(1, prompt)
    assert all(fold(word) in row.shown for word in prompt.split())
    assert all(term.text for term in terms(prompt))
    assert fold(prompt) in row.shown


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["put", "take"])), max_size=30))
def test_values_that_come_and_go_are_counted_as_in_a_new_count(steps):
    rows = [entry(number, tags=("a", "b")[: number % 3], seed=number, fps=number % 2 + 1, model="m" * (number % 3))
            for number in range(6)]
    held: dict[str, Entry] = {}
    tally = FacetCount(())
    for number, action in steps:
        row, old = rows[number], held.pop(rows[number].id, None)
        if action == "put":
            held[row.id] = row
        tally.exchange(old, held.get(row.id))
    assert tally.facets() == FacetCount(held.values()).facets()


def test_filters_choose_exactly():
    rows = [entry(number, model="demo" if number % 2 else "tiny", seed=number, num_inference_steps=20 + number,
                  guidance_scale=number + 0.5, favorite=number == 3, tags=("a", "b")[: number % 3],
                  owner="" if number < 3 else "ann", parent=None if number else "20261122-000001-abcdef",
                  negative_prompt="blurry" if number < 3 else "no text, watermark",
                  scheduler="ddim" if number == 4 else "euler") for number in reversed(range(6))]
    rows[0] = rows[0]._replace(num_frames=24, verdict="identical", fps=12)
    rows[1] = rows[1]._replace(loras=("grain", "ink"))

    def seeds(**query: object) -> list[int]:
        return [row.seed for row in matching(Blocks.of(rows), Query(**query))]

    assert seeds(model="demo") == [5, 3, 1]
    assert seeds(seed=4) == [4] and seeds(seed=0) == [0]
    assert seeds(num_frames=24) == seeds(verdict="identical") == [5]
    assert seeds(num_inference_steps=22) == [2] and seeds(guidance_scale=2.5) == [2]
    assert seeds(favorite=True) == [3] and len(seeds(favorite=False)) == 5
    assert seeds(tags=("a",)) == [5, 4, 2, 1] and seeds(tags=("a", "b")) == [5, 2]
    assert seeds(owner="ann") == [5, 4, 3] and seeds(owner="") == [2, 1, 0]
    assert seeds(parent="20261122-000001-abcdef") == [0] and seeds(scheduler="ddim") == [4]
    assert seeds(model="demo", owner="ann", favorite=False) == [5]
    known = FacetCount(rows).facets()
    assert known.models == ("demo", "tiny") and known.tags == ("a", "b") and known.owners == ("ann",)
    assert known.num_frames == (8, 24) and known.guidance_scales[0] == 0.5
    assert known.schedulers == ("ddim", "euler") and known.loras == ("grain", "ink") and known.fps == (8, 12)
    assert seeds(lora="ink") == [4] and seeds(fps=12) == [5]
    assert seeds(negative_prompt="blur") == [2, 1, 0] and seeds(negative_prompt='-"no text"') == [2, 1, 0]
    assert seeds(negative_prompt="-blur watermark") == [5, 4, 3]


def test_days_are_both_included():
    from datetime import date

    rows = [entry(number) for number in (350, 250, 150, 50)]
    assert [row.created[8:10] for row in rows] == ["04", "03", "02", "01"]
    assert len(matching(Blocks.of(rows), Query(date_from="2026-11-02", date_to=date(2026, 11, 3)))) == 2
    assert len(matching(Blocks.of(rows), Query(date_from=date(2026, 11, 4)))) == 1
    assert len(matching(Blocks.of(rows), Query(date_to="2026-11-01T00:00:00"))) == 1


def test_every_order_orders():
    rows = [entry(number, prompt, seed=9 - number, num_inference_steps=number % 2 + 1,
                  guidance_scale=float(number), model="mb"[number % 2], favorite=number == 1,
                  negative_prompt=("", "z", "y", "", "x")[number])._replace(
                      owner=("", "bo", "", "al", "")[number], total_s=float(number % 3), num_frames=number * 7 % 5,
                      width=number * 2 % 5, height=2,
                      verdict=(None, "identical", "drifted", None, "equivalent")[number], bytes=number * 4 % 5,
                      loras=((), ("b",), (), ("a", "c"), ())[number], fps=number * 3 % 5)
            for number, prompt in reversed(list(enumerate(["b", "C", "a", "ä", "Z"])))]
    order = {sort: [row.prompt for row in matching(Blocks.of(rows), Query(sort=sort))] for sort in SORTS}
    assert order["newest"] == ["Z", "ä", "a", "C", "b"] and order["oldest"] == order["newest"][::-1]
    assert order["prompt"] == ["a", "b", "C", "Z", "ä"]
    assert order["seed"] == order["newest"]
    assert order["fewest steps"] == ["Z", "a", "b", "ä", "C"]  # equals: newest first
    assert order["most steps"] == ["ä", "C", "Z", "a", "b"]
    assert order["lowest guidance"] == ["b", "C", "a", "ä", "Z"] == order["highest guidance"][::-1]
    assert order["longest render"] == ["a", "Z", "C", "ä", "b"]
    assert order["shortest render"] == ["ä", "b", "Z", "C", "a"]
    assert order["shortest"] == ["b", "ä", "C", "Z", "a"] == order["longest"][::-1]
    assert order["smallest"] == ["b", "ä", "C", "Z", "a"] == order["largest"][::-1]
    assert order["fewest fps"] == ["b", "a", "Z", "C", "ä"] == order["most fps"][::-1]
    assert order["most disk"] == ["C", "a", "ä", "Z", "b"]
    assert order["model"] == ["ä", "C", "Z", "a", "b"] and order["favorites"] == ["C", "Z", "ä", "a", "b"]
    assert order["negative_prompt"] == ["Z", "a", "C", "ä", "b"]
    assert order["owner"] == order["lora"] == ["ä", "C", "Z", "a", "b"]
    assert order["verdict"] == ["a", "Z", "C", "ä", "b"]
    with pytest.raises(BadRequest, match="sort"):
        matching(Blocks.of(rows), Query(sort="best"))
