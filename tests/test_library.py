"""The library stores videos, finds them again, and names the fault of a damaged file."""

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import samples
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import HOSTILE, IDENTICAL, moving, mp4, video, with_recipe
from tinydb import TinyDB

from core.domain.recipe import Recipe
from core.domain.verdict import Verdict
from core.domain.video import Video, new_id
from core.errors import BadRequest, ClipError, DamagedVideo, NewerLibrary, NotFound, ReadOnly, StudioError
from core.library import sidecar
from core.library.incoming import ImportResult
from core.library.library import Library
from core.library.media import clip, encoder
from core.library.search.index import FORMAT
from core.library.search.query import Query
from core.library.storage.video_files import VideoFiles

ROOT = Path(__file__).resolve().parent.parent
valid_text = st.text(st.characters(codec="utf-8"), max_size=120)


def fill(library: Library, count: int) -> list[Video]:
    """Videos of one minute each, oldest first."""
    return [library.publish(video(f"prompt {number}", id=f"20261122-{number:06d}-abcdef", seed=number,
                                  created=f"2026-11-22T00:{number // 60:02d}:{number % 60:02d}+00:00"), mp4()[0])
            for number in range(count)]


def again(library: Library) -> Library:
    """The same library, closed and opened again."""
    library.close()
    return Library(library.data_dir, writable=True)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# Keeping


def test_a_published_video_is_complete_and_is_found(library, tmp_path):
    kept = library.publish(video("a red ball", tags=("first",), verdict=IDENTICAL), mp4()[0])
    month = f"library/{kept.id[:4]}-{kept.id[4:6]}/{kept.id}"
    assert files(tmp_path) == sorted(["index.json", *(month + suffix for suffix in
                                                      (".mp4", ".json", ".poster.webp", ".animation.webp"))])
    assert library.get(kept.id) == kept
    assert library.mp4_path(kept.id).read_bytes() == mp4()[0]
    assert json.loads(library.sidecar_path(kept.id).read_text(encoding="utf-8")) == kept.document()
    assert library.poster_path(kept.id).read_bytes()[8:12] == b"WEBP"
    assert library.animation_path(kept.id).read_bytes()[8:12] == b"WEBP"
    assert samples.found(library, Query("red ball first")) == (kept,)
    assert library.verify() == []


def test_publishing_the_same_again_succeeds_and_changes_nothing(library, tmp_path):
    plain = video()
    library.publish(plain, mp4()[0])
    library.change(plain.id, tags=("kept",), favorite=True)
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "library").rglob("*.*")}
    assert library.publish(plain, mp4()[0]).tags == ("kept",)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "library").rglob("*.*")} == stamps
    assert library.search(Query()).total == 1


def test_another_video_under_the_same_id_is_refused(library):
    plain = library.publish(video(), mp4()[0])
    data, result = mp4(4)
    with pytest.raises(ClipError, match="already stored"):
        library.publish(replace(plain, result=result), data)
    assert library.get(plain.id) == plain and library.verify() == []


def test_bytes_that_are_not_the_video_are_refused_and_leave_nothing(library, tmp_path):
    plain = video()
    other, result = mp4(4)
    text = b"not a video"
    bad = [(plain, other), (plain, mp4()[0] + b"x"), (replace(plain, id="../../evil"), mp4()[0])]
    bad += [(replace(plain, result=replace(result, num_frames=5)), other)]
    digest = hashlib.sha256(text).hexdigest()
    bad += [(replace(plain, result=replace(plain.result, bytes=len(text), mp4_sha256=digest)), text)]
    for wrong, data in bad:
        with pytest.raises((ClipError, NotFound)):
            library.publish(wrong, data)
    assert files(tmp_path) in ([], ["index.json"]) and library.search(Query()).total == 0


def test_a_text_that_looks_like_the_place_of_the_hash_is_not_taken_for_it(library, tmp_path):
    place = '"video_sha256":"' + "0" * 64 + '"'
    odd = video(place, negative_prompt=place)
    odd = replace(odd, receipt=replace(odd.receipt, scheduler_config={"video_sha256": "0" * 64}))
    made, data = with_recipe(odd)
    (tmp_path / "x.mp4").write_bytes(data)
    assert library.import_mp4(tmp_path / "x.mp4").video == made and library.verify() == []


@settings(max_examples=40, deadline=None)
@given(valid_text, valid_text, st.integers(0, 2**63 - 1), st.floats(1, 30), st.sampled_from(sorted(HOSTILE)))
def test_any_settings_come_back_from_the_sidecar_and_the_comment(prompt, negative, seed, scale, kind):
    plain = video(HOSTILE[kind] + prompt, negative_prompt=negative, seed=seed, guidance_scale=scale)
    assert sidecar.video_of(sidecar.load(sidecar.dump(plain.document()))) == plain
    comment, size, digest = sidecar.comment_of(plain), plain.result.bytes, plain.result.mp4_sha256
    whole = sidecar.bound(comment, "5" * 64)
    assert len(whole) == len(comment) and json.loads(whole)["result"]["video_sha256"] == "5" * 64
    assert sidecar.video_from_comment(whole, Path("x"), "5" * 64, bytes=size, mp4_sha256=digest) == plain
    assert "\n" not in comment and "\0" not in comment and digest not in comment


def test_half_a_character_in_the_settings_is_a_sentence():
    with pytest.raises(DamagedVideo, match="cannot be written"):
        sidecar.dump(video("\ud800").document())
    with pytest.raises(ClipError, match="cannot be stored"):
        sidecar.comment_of(video("\ud800"))


# Changing


def test_tags_and_favourite_are_in_the_sidecar_and_in_the_index(library):
    plain = library.publish(video(), mp4()[0])
    changed = library.change(plain.id, tags=["  best   of ", "winter", "", "winter"])
    assert changed == replace(plain, tags=("best of", "winter"))
    assert library.change(plain.id, favorite=True) == replace(changed, favorite=True)
    assert library.get(plain.id) == samples.found(library, Query('"best of"', favorite=True))[0]
    assert library.change(plain.id, tags=()).tags == ()
    assert library.search(Query("winter")).total == 0
    assert library.facets().tags == ()


def test_a_change_keeps_what_another_studio_wrote_beside(library):
    plain = library.publish(video(), mp4()[0])
    path = library.sidecar_path(plain.id)
    document = json.loads(path.read_bytes())
    document["later"] = {"a": 1}
    document["request"]["strength"] = 0.5
    path.write_text(json.dumps(document), encoding="utf-8")
    library.change(plain.id, favorite=True)
    assert json.loads(path.read_bytes()) == {**document, "favorite": True}


@pytest.mark.parametrize("tags", [["x" * 65], [str(n) for n in range(33)], ["a\0b"], ["\ud800"], [5]])
def test_impossible_tags_are_refused(library, tags):
    plain = library.publish(video(), mp4()[0])
    with pytest.raises(BadRequest, match="tags"):
        library.change(plain.id, tags=tags)
    assert library.get(plain.id) == plain


def test_deleting_without_a_trash_removes_every_file(tmp_path):
    library = Library(tmp_path, writable=True, trash_days=0)
    one, two = fill(library, 2)
    assert not library.delete(one.id)
    assert samples.found(library) == (two,)
    assert not any(one.id in name for name in files(tmp_path))
    for asking in (library.get, library.delete, library.mp4_path, library.poster_path, library.change,
                   library.deleting.restore, library.deleting.erase):
        with pytest.raises(NotFound):
            asking(one.id)
    assert library.publish(one, mp4()[0]) == one
    library.close()


@pytest.mark.parametrize("id", [
    "", "..", "../../etc/passwd", "20261122-081301-a1b2c3/../x", "20261122-081301-A1B2C3", None, 7,
    "20261122-081301-a1b2c3\n", "C:\\x", "%2e%2e", "20261122-081301-a1b2c3.mp4", "٢٠٢٦١١٢٢-081301-a1b2c3",
])
def test_a_text_that_is_not_an_id_never_becomes_a_path(library, id):
    for asking in (library.mp4_path, library.sidecar_path, library.poster_path, library.animation_path,
                   library.get, library.delete, library.change, library.deleting.restore, library.deleting.erase):
        with pytest.raises(NotFound, match="not the id"):
            asking(id)
    with pytest.raises(NotFound):
        library.verify([id])


def test_a_library_that_may_not_be_changed_says_so(library, tmp_path):
    plain = library.publish(video(), mp4()[0])
    before = files(tmp_path)
    reader = Library(tmp_path, writable=False)
    changes = [lambda: reader.publish(plain, mp4()[0]), lambda: reader.change(plain.id, favorite=True),
               lambda: reader.delete(plain.id), reader.reindex, lambda: reader.deleting.restore(plain.id),
               lambda: reader.deleting.erase(plain.id), lambda: reader.deleting.expire(1),
               lambda: reader.import_mp4(tmp_path / "x.mp4")]
    for change in changes:
        with pytest.raises(ReadOnly, match="Another studio"):
            change()
    assert samples.found(reader) == (plain,) and reader.get(plain.id) == plain and reader.report is None
    library.change(plain.id, tags=["new"])
    assert samples.found(reader, Query("new"))[0].tags == ("new",)
    library.delete(plain.id)
    assert reader.search(Query()).total == 0
    reader.close()
    assert before  # the reader wrote nothing
    assert not any(name.endswith(".part") for name in files(tmp_path))


@pytest.mark.parametrize("content", [None, b"", b"{broken"])
def test_a_reader_without_an_index_reads_the_sidecars(library, tmp_path, content):
    kept = fill(library, 3)
    path = tmp_path / "index.json"
    path.unlink() if content is None else path.write_bytes(content)
    before = files(tmp_path)
    reader = Library(tmp_path, writable=False)
    assert samples.found(reader) == tuple(kept[::-1])
    reader.close()
    assert files(tmp_path) == before


def test_a_reader_of_an_empty_folder_finds_nothing_and_makes_nothing(tmp_path):
    reader = Library(tmp_path / "none", writable=False)
    assert reader.search(Query()).total == 0 and reader.verify() == []
    reader.close()
    assert list(tmp_path.iterdir()) == []


def test_threads_publish_search_change_and_delete_together(library):
    finished: list[int] = []
    kept = fill(library, 8)

    def work(part: int) -> None:
        for number in range(4):
            fresh = video(f"part {part}", id=f"20261123-{part:03d}{number:03d}-abcdef")
            mine = library.publish(fresh, mp4()[0])
            library.change(kept[part].id, tags=[f"t{number}"])
            assert library.search(Query(f'"part {part}"')).total >= 1
            if number % 2:
                library.delete(mine.id)
        finished.append(part)

    threads = [threading.Thread(target=work, args=(part,)) for part in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(finished) == list(range(6))
    assert library.search(Query()).total == 8 + 6 * 2 and library.verify() == []
    assert library.search(Query("t3")).total == 6


# Finding


def test_pages_are_cut_exactly_and_the_last_one_stands_in_for_those_beyond(library):
    kept = fill(library, 7)
    page = library.search(Query(page_size=3, page=2))
    assert [each.seed for each in page.entries] == [3, 2, 1]
    assert (page.total, page.page, page.pages, page.bytes) == (7, 2, 3, 7 * len(mp4()[0]))
    assert samples.found(library, Query(page_size=3, page=99)) == (kept[0],)
    assert library.search(Query(page_size=3, page=99)).page == 3
    assert library.search(Query(page_size=3, page=-1)).page == 1
    empty = library.search(Query("nothing like this"))
    assert (empty.entries, empty.total, empty.page, empty.pages, empty.bytes) == ((), 0, 1, 1, 0)
    with pytest.raises(BadRequest):
        library.search(Query(page_size=0))


def test_a_sidecar_that_another_hand_has_written_is_shown_as_it_is_now(library):
    kept = fill(library, 2)
    path = library.sidecar_path(kept[0].id)
    for tags in (["by hand"], ["by hand", "again"]):
        path.write_bytes(json.dumps({**kept[0].document(), "tags": tags}).encode())
        for _ in range(2):
            assert library.search(Query()).entries[-1].tags == tuple(tags)
    path.write_bytes(json.dumps({**kept[0].document(), "schema": 2}).encode())
    page = library.search(Query())
    assert (page.newer, page.damaged, page.entries[-1].prompt) == ((kept[0].id,), (), kept[0].title)
    path.write_bytes(b"{")
    assert library.search(Query()).damaged == (kept[0].id,)


def test_a_page_reads_no_sidecar(library, monkeypatch):
    kept = fill(library, 3)
    reader = Library(library.data_dir, writable=False)
    monkeypatch.setattr(type(library._video_files), "read", None)  # reading one would raise
    assert [each.id for each in reader.search(Query()).entries] == [each.id for each in kept[::-1]]


def test_a_missing_or_damaged_file_is_shown_as_such_and_breaks_no_page(library):
    kept = fill(library, 4)
    library.mp4_path(kept[0].id).unlink()
    library.sidecar_path(kept[1].id).write_bytes(b"{")
    library.sidecar_path(kept[2].id).unlink()
    opened = Library(library.data_dir, writable=False)
    page = opened.search(Query())
    assert page.total == 4 and set(page.damaged) == {each.id for each in kept[:3]}
    assert [each.prompt for each in page.entries] == [each.recipe.prompt for each in kept[::-1]]
    for each, problem in zip(kept, ("MP4", "damaged|whole", "sidecar", None), strict=True):
        if problem:
            with pytest.raises(DamagedVideo, match=problem):
                opened.get(each.id)
    opened.close()


# Verifying


def test_verify_names_each_fault_and_what_to_do(library):
    kept = fill(library, 8)
    rng = np.random.default_rng(0)
    flipped = library.mp4_path(kept[0].id)
    data = bytearray(flipped.read_bytes())
    data[int(rng.integers(0, len(data)))] ^= 4
    flipped.write_bytes(data)
    library.mp4_path(kept[1].id).unlink()
    library.sidecar_path(kept[2].id).unlink()
    library.sidecar_path(kept[3].id).write_bytes(library.sidecar_path(kept[3].id).read_bytes()[:100])
    part = library.mp4_path(kept[4].id).with_name("x.mp4.part")
    part.write_bytes(b"half")
    longer = library.mp4_path(kept[5].id)
    longer.write_bytes(longer.read_bytes() + b"more")
    shutil.copy(library.sidecar_path(kept[7].id), library.sidecar_path(kept[6].id))
    found = {finding.path.name: finding for finding in library.verify()}
    expected = {
        f"{kept[0].id}.mp4": "SHA-256", f"{kept[1].id}.mp4": "missing", f"{kept[2].id}.json": "missing",
        f"{kept[3].id}.json": "is incomplete", part.name: "interrupted", f"{kept[5].id}.mp4": "bytes",
        f"{kept[6].id}.json": "another video"}
    assert set(found) == set(expected)
    for name, words in expected.items():
        assert words in found[name].problem and found[name].mend.endswith("."), found[name]
    assert [finding.id for finding in library.verify([kept[5].id, kept[7].id])] == [kept[5].id]
    assert library.verify([kept[7].id]) == []
    with pytest.raises(NotFound):
        library.verify(["20200101-000000-000000"])


def test_every_flipped_byte_is_found(library):
    kept = library.publish(video(), mp4()[0])
    path, data = library.mp4_path(kept.id), mp4()[0]
    for place in random.Random(0).sample(range(len(data)), 40):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert len(library.verify([kept.id])) == 1
    path.write_bytes(data)
    assert library.verify() == []


def test_a_reader_does_not_take_work_in_progress_for_damage(library, tmp_path):
    kept = library.publish(video(), mp4()[0])
    folder = library.mp4_path(kept.id).parent
    (folder / "20261122-000000-aaaaaa.mp4.part").write_bytes(b"half")
    shutil.copy(library.sidecar_path(kept.id), folder / "20261122-000000-aaaaaa.json")
    reader = Library(tmp_path, writable=False)
    assert reader.verify() == [] and len(library.verify()) == 2
    for path in folder.glob("20261122-000000-aaaaaa*"):
        os.utime(path, (1, 1))
    assert len(reader.verify()) == 2
    reader.close()


# Opening


def test_opening_again_finds_everything_in_order_and_says_nothing(library):
    kept = fill(library, 5)
    library.change(kept[2].id, tags=["x"])
    opened = again(library)
    assert opened.report.sentences == () and opened.report.videos == 5
    assert [each.id for each in samples.found(opened)] == [each.id for each in kept[::-1]]
    assert opened.search(Query("x")).total == 1
    opened.close()


@pytest.mark.parametrize("content", [None, b"", b"{", bytes(100), b"[]", b'{"_default": {}}'])
def test_a_missing_or_damaged_index_is_rebuilt_with_tags_and_favourites(library, content):
    kept = fill(library, 12)
    library.change(kept[3].id, tags=["kept tag"], favorite=True)
    library.close()
    path = library.data_dir / "index.json"
    path.unlink() if content is None else path.write_bytes(content)
    opened = Library(library.data_dir, writable=True)
    word = "missing" if content is None else "damaged"
    assert opened.report.sentences[0].startswith(f"The index was {word} and has been rebuilt from 12 sidecars.")
    assert opened.search(Query()).total == 12
    assert samples.found(opened, Query("kept", favorite=True))[0].id == kept[3].id
    assert len(list(library.data_dir.glob("index.corrupt-*.json"))) == (content is not None)
    opened.close()
    with TinyDB(path) as plain:
        assert len(plain) == 12


def test_an_index_behind_the_files_catches_up(library):
    kept = fill(library, 6)
    library.close()
    old = (library.data_dir / "index.json").read_bytes()
    opened = Library(library.data_dir, writable=True)
    opened.delete(kept[0].id)
    opened.change(kept[1].id, tags=["late"])
    added = opened.publish(video("late too"), mp4()[0])
    opened.close()
    (library.data_dir / "index.json").write_bytes(old)
    opened = Library(library.data_dir, writable=True)
    assert (opened.report.added, opened.report.dropped) == (2, 1) and "caught up" in opened.report.sentences[0]
    assert opened.search(Query("late")).total == 2 and opened.search(Query()).total == 6
    assert opened.get(added.id) == added
    opened.close()


def test_the_leftovers_of_a_crash_are_cleared_and_nothing_else(library):
    kept = fill(library, 2)
    folder = library.mp4_path(kept[0].id).parent
    sample = library.sidecar_path(kept[0].id).read_text(encoding="utf-8")
    leftovers = ["20261122-000000-aaaaaa.json", "20261122-000000-aaaaaa.poster.webp",
                 "20261122-000000-aaaaaa.mp4.part", "20261122-000000-bbbbbb.poster.webp", f"{kept[0].id}.mp4.part",
                 "20261122-000000-cccccc.json.part"]
    for name in leftovers:
        (folder / name).write_text(sample, encoding="utf-8")
    strangers = ["notes.txt", "holiday.mp4", "20261022-000000-aaaaaa.json"]
    for name in strangers:
        (folder / name).write_text("mine", encoding="utf-8")
    opened = again(library)
    left = files(folder)
    assert not set(leftovers) & set(left) and set(strangers) <= set(left)
    assert (opened.report.leftovers, opened.report.lost) == (6, 0) and not (folder.parent / "lost").exists()
    assert opened.search(Query()).total == 2 and opened.verify() == []
    opened.close()


def test_a_sidecar_that_disappeared_comes_back_from_the_mp4(library):
    made, data = with_recipe(video(HOSTILE["emoji"], tags=("born with it",)))
    library.publish(made, data)
    library.sidecar_path(made.id).unlink()
    opened = again(library)
    assert opened.report.remade == 1 and opened.get(made.id) == made and opened.verify() == []
    opened.close()


def test_a_video_whose_settings_are_in_neither_file_is_shown_as_damaged(library):
    kept = fill(library, 2)
    library.sidecar_path(kept[0].id).unlink()
    opened = again(library)
    page = opened.search(Query(sort="oldest"))
    assert [entry.prompt for entry in page.entries] == [each.recipe.prompt for each in kept]
    assert page.damaged == (kept[0].id,) and "Damaged only" in opened.report.sentences[-1]
    opened.close()


def test_an_mp4_that_disappeared_leaves_its_settings_aside(library):
    kept = fill(library, 2)
    library.mp4_path(kept[0].id).unlink()
    opened = again(library)
    assert opened.report.lost == opened.report.dropped == 1 and "library/lost" in opened.report.sentences[1]
    aside = library.data_dir / "library" / "lost" / f"{kept[0].id}.json"
    assert Video.from_document(json.loads(aside.read_bytes())) == kept[0]
    assert samples.found(opened) == (kept[1],) and opened.verify() == []
    opened.close()


@pytest.mark.parametrize("index", [None, b"\0garbage"])
@pytest.mark.parametrize("broken", [False, True])
def test_settings_without_an_mp4_are_kept_aside_also_when_the_index_is_gone(library, index, broken):
    kept = fill(library, 2)
    library.change(kept[0].id, tags=["precious"])
    if broken:
        library.sidecar_path(kept[0].id).write_bytes(b"half of a side")
    written = library.sidecar_path(kept[0].id).read_bytes()
    library.mp4_path(kept[0].id).unlink()
    library.close()
    path = library.data_dir / "index.json"
    path.unlink() if index is None else path.write_bytes(index)
    opened = Library(library.data_dir, writable=True)
    assert (library.data_dir / "library" / "lost" / f"{kept[0].id}.json").read_bytes() == written
    assert opened.report.lost == 1 and any("library/lost" in said for said in opened.report.sentences)
    assert samples.found(opened) == (kept[1],) and opened.verify() == []
    opened.close()


def test_posters_that_disappeared_are_made_again(library):
    kept = fill(library, 1)[0]
    poster = library.poster_path(kept.id).read_bytes()
    library.poster_path(kept.id).unlink()
    library.animation_path(kept.id).unlink()
    opened = again(library)
    assert opened.report.posters == 1 and opened.poster_path(kept.id).read_bytes() == poster
    opened.close()


FULL_AT_START = """
import resource, sys
sys.path.insert(0, "tests")
from pathlib import Path
from core.library.library import Library, Query
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
library = Library(Path(sys.argv[1]), True)
print(library.search(Query()).total, library.report.posters, library.report.damaged)
library.close()
"""


def test_a_full_disk_does_not_keep_a_library_closed_that_lacks_a_poster_and_a_sidecar(library):
    made, data = with_recipe(video())
    library.publish(made, data)
    kept = fill(library, 2)
    library.poster_path(kept[0].id).unlink()
    library.sidecar_path(made.id).unlink()
    library.close()
    done = subprocess.run([sys.executable, "-W", "error", "-c", FULL_AT_START, str(library.data_dir)], cwd=ROOT,
                          text=True, capture_output=True, check=False)
    assert (done.stdout, done.returncode) == ("3 0 1\n", 0), done.stderr
    assert not any(name.endswith(".part") for name in files(library.data_dir))
    opened = Library(library.data_dir, writable=True)
    assert (opened.report.posters, opened.report.remade) == (1, 1) and opened.verify() == []
    assert opened.poster_path(kept[0].id).is_file() and opened.get(made.id) == made
    opened.close()


def broken_sidecars(good: dict) -> dict[str, bytes]:
    def with_(*path: str, value: object) -> bytes:
        document = json.loads(json.dumps(good))
        inner = document
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = value
        return json.dumps(document).encode()

    return {
        "no frames": with_("result", "num_frames", value=0), "no speed": with_("result", "fps", value=0),
        "loras of text": with_("receipt", "loras", value=["x"]),
        "version as number": with_("receipt", "environment", "versions", value={"torch": 5}),
        "mode of a method as list": with_("receipt", "method", value={"mode": ["exact"]}),
        "empty": b"", "half": json.dumps(good).encode()[:200], "not utf-8": b"\xff\xfe", "a list": b"[]",
        "no schema": b"{}", "schema in words": with_("schema", value="one"),
        "schema zero": with_("schema", value=0),
        "no such id": with_("id", value="../x"), "another's id": with_("id", value="20200101-000000-000000"),
        "a prompt of numbers": with_("request", "prompt", value=5), "frames in words": with_(
            "result", "num_frames", value="8"), "request is a list": with_("request", value=[]),
        "tags of numbers": with_("tags", value=[1]), "tags a number": with_("tags", value=1),
        "created is null": with_("created", value=None), "receipt is null": with_("receipt", value=None),
        "environment is text": with_("receipt", "environment", value="x"), "verdict is text": with_(
            "verdict", value="same"), "parent is a path": with_("parent", value="../../x"),
        "an unknown verdict": with_("verdict", value=Verdict("bogus").document()),
        "causes of numbers": with_("verdict", value=Verdict("drifted", 8.0, (1,)).document()),
        "text for causes": with_("verdict", value={**IDENTICAL.document(), "causes": "why"}),
        "seconds in words": with_("runtime", "total_s", value="1"), "true for bytes": with_(
            "result", "bytes", value=True), "too deep": b'{"schema":' + b"[" * 5000, "huge": b" " * (2**20 + 1),
    }


def test_publishing_asks_the_storage_once_for_the_state_of_its_id(library, monkeypatch):
    asked, state_of = [], VideoFiles.state_of
    monkeypatch.setattr(VideoFiles, "state_of", lambda files, id: asked.append(id) or state_of(files, id))
    monkeypatch.setattr(VideoFiles, "has", None)  # asking for more would raise
    made = video()
    for times in (1, 2):  # new, then here already
        library.publish(made, mp4()[0])
        assert asked == [made.id] * times
    library.mp4_path(made.id).write_bytes(b"damaged")
    library.publish(made, mp4()[0])
    assert asked == [made.id] * 3 and library.verify() == []


@pytest.mark.parametrize("kind", list(broken_sidecars(video(id="20261122-000000-abcdef").document())))
def test_a_damaged_sidecar_stops_nothing(library, kind):
    kept = fill(library, 2)
    broken = broken_sidecars(kept[0].document())[kind]
    path = library.sidecar_path(kept[0].id)
    path.write_bytes(broken)
    with pytest.raises(DamagedVideo):
        library.get(kept[0].id)
    assert library.reindex().damaged == 1 and kept[0].id in library.search(Query()).damaged
    assert len(library.verify()) == 1
    (library.data_dir / "index.json").unlink()
    opened = again(library)
    assert opened.report.damaged == 1 and [each.id for each in opened.search(Query()).entries] == [kept[1].id]
    assert path.read_bytes() == broken
    opened.close()


def test_a_video_of_a_newer_studio_is_left_alone(library):
    kept = fill(library, 2)
    path = library.sidecar_path(kept[0].id)
    newer = json.dumps({**kept[0].document(), "schema": 2, "request": "quite different"}).encode()
    path.write_bytes(newer)
    report = library.reindex()
    assert report.newer == 1 and "newer studio" in report.sentences[-1]
    for asking in (library.get, lambda id: library.change(id, favorite=True), library.delete,
                   lambda id: library.publish(kept[0], mp4()[0])):
        with pytest.raises(ReadOnly, match="newer studio"):
            asking(kept[0].id)
    opened = again(library)
    assert opened.report.newer == 1 and path.read_bytes() == newer
    assert [finding.mend for finding in opened.verify()] == ["Update the studio."]
    opened.close()


def test_a_video_of_a_newer_studio_is_shown_by_what_its_mp4_says_and_read_once_the_studio_is_newer(library):
    kept = fill(library, 2)
    path = library.sidecar_path(kept[0].id)
    document = {**kept[0].document(), "schema": 2, "request": {"prompt": "a newer ball", "steps": "many"},
                "tags": ["sea", 7], "created": "2026-11-22T08:13:01+00:00"}
    path.write_bytes(json.dumps(document).encode())
    library.reindex()
    page = library.search(Query(text="newer ball"))
    (shown,) = page.entries
    assert (page.newer, page.damaged) == ((kept[0].id,), ()) and library.search(Query(damaged=True)).total == 0
    assert (shown.prompt, shown.tags, shown.recipe) == ("a newer ball", ("sea",), False)
    assert (shown.num_frames, shown.bytes) == (8, len(mp4()[0]))
    opened = again(library)
    assert opened.search(Query()).newer == (kept[0].id,), "the row is kept, and its sidecar read all the same"
    opened.close()
    path.write_bytes(json.dumps(kept[0].document()).encode())
    opened = again(library)
    assert opened.search(Query()).newer == () and opened.get(kept[0].id) == kept[0]
    opened.close()


@pytest.mark.parametrize("document", [{}, {"schema": 2}, {"schema": 2, "request": 5, "tags": {}, "parent": "x"},
                                      {"schema": 2, "request": {"prompt": ["a"]}, "created": 3, "favorite": "no"}])
def test_of_a_strange_newer_sidecar_only_what_has_its_form_is_taken(library, document):
    kept = fill(library, 1)[0]
    library.sidecar_path(kept.id).write_bytes(json.dumps({"schema": 2, **document}).encode())
    library.reindex()
    seen = library.glimpse(kept.id)
    assert seen.title == "A video of a newer studio" and not seen.favorite and seen.tags == ()
    assert seen.parent is None and seen.created.startswith(f"{kept.id[:4]}-{kept.id[4:6]}")
    library.mp4_path(kept.id).write_bytes(b"no video")
    assert library.glimpse(kept.id) is None


def test_a_library_of_a_newer_studio_is_opened_to_look_at_and_nothing_in_it_changes(library, tmp_path):
    kept = fill(library, 2)
    library.close()
    path = tmp_path / "index.json"
    path.write_bytes(path.read_bytes().replace(b'"format":%d' % FORMAT, b'"format":99'))
    (tmp_path / "library" / "2026-11" / f"{kept[0].id}.mp4.part").write_bytes(b"what a newer studio needs")
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    with pytest.raises(NewerLibrary, match="newer studio.*Update the studio"):
        Library(tmp_path, writable=True)
    reader = Library(tmp_path, writable=False)
    assert samples.found(reader) == (kept[1], kept[0]) and reader.get(kept[0].id) == kept[0]
    assert "A newer studio wrote this library" in reader.newer
    for change in (lambda: reader.delete(kept[0].id), lambda: reader.change(kept[0].id, favorite=True),
                   reader.reindex, lambda: reader.publish(video(), mp4()[0]),
                   lambda: reader.import_mp4(tmp_path / "x.mp4")):
        with pytest.raises(NewerLibrary):
            change()
    reader.close()
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before
    path.unlink()  # the index can always be thrown away
    opened = Library(tmp_path, writable=True)
    assert opened.newer == "" and opened.search(Query()).total == 2
    opened.close()


def test_reindex_notices_files_that_came_and_went(library, tmp_path):
    kept = fill(library, 3)
    other = Library(tmp_path / "other", writable=True)
    guest = other.publish(video("a guest"), mp4()[0])
    target = library._video_files.path(guest.id, "").parent
    target.mkdir(exist_ok=True)
    for path in (other.mp4_path(guest.id), other.sidecar_path(guest.id)):
        shutil.copy(path, target)
    other.close()
    library.mp4_path(kept[0].id).unlink()
    library.sidecar_path(kept[0].id).unlink()
    report = library.reindex()
    assert (report.videos, report.added, report.dropped, report.posters) == (3, 1, 1, 1)
    assert library.search(Query()).total == 3 and library.get(guest.id) == guest


# Importing


def test_a_video_comes_back_from_its_mp4_alone(library, tmp_path):
    recipe = Recipe(HOSTILE["longest"], HOSTILE["newlines"], "demo", 8, 20, 7.123456789, 8, 2**63 - 1, 33, 31,
                    "ddim", "exact")
    made, data = with_recipe(replace(video(), recipe=recipe, owner="ann", parent=new_id()), moving(8, 31, 33))
    copy = tmp_path / "-copy of it.mp4"
    copy.write_bytes(data)
    kept = library.import_mp4(copy).video
    assert kept == made and library.get(made.id) == made and library.verify() == []
    assert library.mp4_path(made.id).read_bytes() == data
    assert library.import_mp4(copy) == ImportResult(made, "here") and library.search(Query()).total == 1
    library.change(made.id, tags=["mine"])
    assert library.import_mp4(copy).video.tags == ("mine",)
    library.delete(made.id)
    assert library.import_mp4(copy) == ImportResult(made, "added")


@settings(max_examples=8, deadline=None)
@given(valid_text.filter(lambda text: text.strip()), st.integers(0, 2**63 - 1))
def test_any_settings_survive_the_mp4(tmp_path_factory, prompt, seed):
    folder = tmp_path_factory.mktemp("library")
    made, data = with_recipe(video(prompt, seed=seed), moving(2, 16, 16))
    (folder / "x.mp4").write_bytes(data)
    opened = Library(folder, writable=True)
    assert opened.import_mp4(folder / "x.mp4").video == made == opened.get(made.id)
    opened.close()


def test_a_damaged_video_is_healed_by_its_good_copy(library, tmp_path):
    made, data = with_recipe(video())
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(data)
    library.publish(made, data)
    library.change(made.id, tags=["mine"])
    library.mp4_path(made.id).write_bytes(data[:-1] + b"?")
    assert library.verify() != []
    healed = replace(made, tags=("mine",))
    assert library.import_mp4(copy) == ImportResult(healed, "healed") and library.verify() == []
    library.mp4_path(made.id).unlink()
    assert library.import_mp4(copy) == ImportResult(healed, "healed") and library.verify() == []
    library.sidecar_path(made.id).write_bytes(b"{")
    assert library.import_mp4(library.mp4_path(made.id)) == ImportResult(made, "healed") and library.verify() == []


def test_an_mp4_that_was_lost_over_a_restart_comes_back_with_its_tags(library, tmp_path):
    made, data = with_recipe(video(tags=("mine",), favorite=True, verdict=IDENTICAL))
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(data)
    library.publish(made, data)
    library.mp4_path(made.id).unlink()
    opened = again(library)
    assert opened.report.lost == 1 and opened.search(Query()).total == 0
    assert opened.import_mp4(copy) == ImportResult(made, "healed") and opened.verify() == []
    assert list((tmp_path / "library" / "lost").iterdir()) == []
    opened.close()


def compact(document: dict) -> str:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize("edit", [
    ("-vf", "negate"), ("-vf", "hflip"), ("-vf", "negate=enable='eq(n,7)'"), ("-vf", "reverse"), ("-crf", "10"),
    ("-c:v", "copy", "-bsf:v", "h264_metadata=matrix_coefficients=5"), ("-c:v", "mpeg4", "-q:v", "1"),
], ids=["negative", "mirrored", "one frame", "backwards", "encoded again", "other colours", "another codec"])
def test_an_mp4_whose_frames_were_edited_under_their_settings_is_refused(library, tmp_path, edit):
    made, data = with_recipe(video())
    source, edited = tmp_path / "a.mp4", tmp_path / "b.mp4"
    source.write_bytes(data)
    ffmpeg = encoder.ffmpeg_version().partition("(")[2].rstrip(")")
    keeping = ("-map_metadata", "0", "-pix_fmt", "yuv420p")
    subprocess.run([ffmpeg, "-v", "error", "-i", source, *keeping, *edit, edited], check=True)
    assert clip.probe(edited).comment == clip.probe(source).comment
    with pytest.raises(ClipError, match="was edited: its frames do not match its settings"):
        library.import_mp4(edited)
    assert files(tmp_path / "library") == []
    library.publish(made, data)
    library.mp4_path(made.id).write_bytes(edited.read_bytes())
    library.sidecar_path(made.id).unlink()
    assert (library.reindex().remade, library.reindex().damaged) == (0, 1)
    library.delete(made.id)
    assert library.import_mp4(source).video == made and library.verify() == []


@pytest.mark.parametrize("verdict", [IDENTICAL, Verdict("bogus", None, ("x",))])
def test_an_mp4_brings_no_verdict_of_its_own(library, tmp_path, verdict):
    made, data = with_recipe(video(verdict=verdict, parent=new_id()))
    (tmp_path / "x.mp4").write_bytes(data)
    assert library.import_mp4(tmp_path / "x.mp4").video == replace(made, verdict=None)
    assert samples.found(library)[0].verdict is None


def test_a_foreign_or_edited_mp4_is_refused_with_a_sentence(library, tmp_path):
    made, data = with_recipe(video())
    path = tmp_path / "x.mp4"
    document = json.loads(sidecar.comment_of(made))
    cases = {
        "": "was not made by this studio", "hello": "was not made by this studio", "{}": "not made by this studio",
        json.dumps({**document, "id": "../../x"}): "not made by this studio",
        json.dumps({**document, "result": None}): "not made by this studio",
        compact({**document, "result": {**document["result"], "num_frames": 9}}): "length, size or speed",
        compact({**document, "result": {**document["result"], "width": 30}}): "length, size or speed",
        compact({**document, "result": {**document["result"], "duration_s": 3.0}}): "length, size or speed",
        compact({**document, "result": {**document["result"], "video_sha256": "5" * 64}}): "its frames do not match",
        compact({**document, "result": {n: v for n, v in document["result"].items() if n != "video_sha256"}}):
            "does not say which frames",
    }
    for comment, words in cases.items():
        path.write_bytes(clip.encode_bytes(moving(), 8, comment)[0])
        with pytest.raises(ClipError, match=words):
            library.import_mp4(path)
    path.write_bytes(clip.encode_bytes(moving(7), 8, sidecar.comment_of(made))[0])
    with pytest.raises(ClipError, match="edited"):
        library.import_mp4(path)
    newer = json.dumps({**document, "schema": 2})
    path.write_bytes(clip.encode_bytes(moving(), 8, newer)[0])
    with pytest.raises(ReadOnly, match="newer studio"):
        library.import_mp4(path)
    path.write_bytes(b"text")
    with pytest.raises(ClipError):
        library.import_mp4(path)
    assert library.search(Query()).total == 0 and files(tmp_path / "library") == []
    library.publish(made, data)
    path.write_bytes(clip.encode_bytes(moving()[::-1], 8, sidecar.comment_of(made))[0])
    with pytest.raises(ClipError, match="already stored"):
        library.import_mp4(path)
    assert library.get(made.id) == made


def test_an_mp4_that_was_remuxed_by_another_tool_with_its_comment_is_still_ours(library, tmp_path):
    made, data = with_recipe(video())
    source, target = tmp_path / "a.mp4", tmp_path / "b.mp4"
    source.write_bytes(data)
    with av.open(str(source)) as before, av.open(str(target), "w") as after:
        after.metadata["comment"] = before.metadata["comment"]
        stream = after.add_stream_from_template(before.streams.video[0])
        for packet in before.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                after.mux(packet)
    kept = library.import_mp4(target).video
    assert kept.recipe == made.recipe and kept.receipt == made.receipt and kept.id == made.id
    assert kept.result.mp4_sha256 != made.result.mp4_sha256 and library.verify() == []
    assert library.import_mp4(source) == ImportResult(kept, "here")  # the same pictures in another packing


FULL = """
import resource, sys
sys.path.insert(0, "tests")
from pathlib import Path
from samples import mp4, video
from core.errors import DiskFull
from core.library.library import Library, Query
library = Library(Path(sys.argv[1]), True)
first = library.publish(video("before"), mp4()[0])
library.close()
library = Library(Path(sys.argv[1]), True)
data, result = mp4(8, 128, 128)
from dataclasses import replace
second = replace(video("too much " * int(sys.argv[3])), result=result)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    library.publish(second, data)
except DiskFull as error:
    print(error)
print(library.search(Query()).total, library.get(first.id) == first, len(library.verify()))
library.close()
"""


@pytest.mark.parametrize(("limit", "words"), [(0, 1), (300, 1), (1500, 1), (4000, 1), (40_000, 5000)])
def test_a_full_disk_is_said_and_leaves_nothing_of_the_video(tmp_path, limit, words):
    """Poster, animation, sidecar or MP4: wherever the room ends; the last case is a sidecar of 45 kB."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", FULL, str(tmp_path), str(limit), str(words)],
                          cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("There is no room left") and done.stdout.endswith("1 True 0\n"), done.stdout
    assert len(files(tmp_path)) == 5 and not any(name.endswith(".part") for name in files(tmp_path))


def test_a_folder_that_may_not_be_written_is_said(library, tmp_path):
    (tmp_path / "a file").write_text("")
    with pytest.raises(StudioError, match="Writing into"):
        Library(tmp_path / "a file", writable=True)
