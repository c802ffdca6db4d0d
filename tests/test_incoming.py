"""Files from outside: imported, refused with a reason, or stored as a video without a recipe."""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import samples
from hypothesis import given
from hypothesis import strategies as st
from samples import foreign, moving, mp4, video, with_recipe

from core.domain.receipt import NO_RECEIPT
from core.domain.video import Runtime, Video
from core.errors import ClipError, DamagedVideo, Foreign, NoRecipe, ReadOnly
from core.library import sidecar
from core.library.incoming import NAME_LENGTH, ImportResult, clean_name
from core.library.library import Library
from core.library.media import clip, encoder
from core.library.search.entry import Entry
from core.library.search.query import Query
from core.settings import Settings
from core.studio import open_studio


@pytest.fixture
def library(tmp_path):
    opened = Library(tmp_path / "data", writable=True)
    yield opened
    opened.close()


def kept_unknown(library: Library, path: Path, name: str = "") -> Video:
    kept = library.import_mp4(path, name, unknown=True, owner="ann")
    assert kept.outcome == "added"
    return kept.video


def test_a_foreign_video_is_refused_and_kept_only_when_that_is_wanted(library, tmp_path):
    path = foreign(tmp_path / "holiday.mp4")
    with pytest.raises(Foreign, match=r"holiday\.mp4 was not made by this studio"):
        library.import_mp4(path)
    with pytest.raises(Foreign, match=r"Summer\.mp4 was not made by this studio"):
        library.import_mp4(path, "Summer.mp4")
    assert library.search(Query()).total == 0
    made = kept_unknown(library, path)
    assert library.get(made.id) == made and library.verify() == []
    assert (made.recipe, made.title, made.owner) == (None, "holiday.mp4", "ann")
    assert (made.result.num_frames, made.result.width, made.result.fps, made.result.codec) == (8, 32, 8, "h264")
    assert library.mp4_path(made.id).read_bytes() == path.read_bytes()
    assert library.poster_path(made.id).is_file() and library.animation_path(made.id).is_file()
    assert library.import_mp4(path, "another name.mp4", unknown=True) == ImportResult(made, "here")
    assert library.search(Query()).total == 1


def test_its_sidecar_says_that_nothing_is_known_and_nothing_else(library, tmp_path):
    made = kept_unknown(library, foreign(tmp_path / "a.mp4"))
    document = json.loads(library.sidecar_path(made.id).read_bytes())
    assert (document["recipe"], document["name"]) == (False, "a.mp4")
    for unknown in ("request", "receipt", "runtime", "verdict", "parent"):
        assert document[unknown] is None, unknown
    assert (made.receipt, made.runtime, made.recipe, made.name) == (NO_RECEIPT, Runtime(), None, "a.mp4")


@pytest.mark.parametrize("change", [
    {"name": 5}, {"name": None}, {"result": None}, {"recipe": "no"}, {"recipe": None}, {"tags": 3}])
def test_a_sidecar_that_is_half_known_is_damaged(library, tmp_path, change):
    made = kept_unknown(library, foreign(tmp_path / "a.mp4"))
    broken = json.dumps({**made.document(), **change}).encode()
    library.sidecar_path(made.id).write_bytes(broken)
    with pytest.raises(DamagedVideo):
        library.get(made.id)


def test_a_recipe_cannot_have_an_average_for_its_speed():
    document = video().document()
    document["result"]["fps"] = 29.97
    with pytest.raises(DamagedVideo, match="fps"):
        sidecar.video_of(document)


def test_the_index_knows_it_after_a_rebuild_and_finds_it_by_what_it_is(library, tmp_path):
    made = kept_unknown(library, foreign(tmp_path / "Sea at night.mp4", rate="30000/1001"))
    ours = library.publish(video(), mp4()[0])
    assert made.result.fps == 29.97 and made.result.duration_s == round(8 / 29.97, 6)
    assert Entry.of(made, 0).recipe is False and Entry.of(made, 0).prompt == made.title
    library.close()
    (tmp_path / "data" / "index.json").unlink()
    again = Library(tmp_path / "data", writable=True)
    assert samples.found(again, Query(recipe=False)) == (made,)
    assert samples.found(again, Query(recipe=True)) == (ours,)
    assert samples.found(again, Query("sea night")) == (made,) and again.verify() == []
    assert again.change(made.id, tags=["trip"], favorite=True).tags == ("trip",)
    assert again.reindex().videos == 2 and again.get(made.id).favorite
    again.poster_path(made.id).unlink()
    assert again.reindex().posters == 1 and again.poster_path(made.id).is_file()
    again.sidecar_path(made.id).unlink()
    report = again.reindex()
    assert (report.remade, report.damaged) == (0, 1)  # nothing inside the file could bring it back
    again.close()


def test_it_cannot_be_made_again_and_that_is_a_sentence(library, tmp_path):
    made = kept_unknown(library, foreign(tmp_path / "a.mp4"))
    library.close()
    with open_studio(Settings.from_env({}, data_dir=tmp_path / "data"), "visit") as studio:
        with pytest.raises(NoRecipe, match=r"a\.mp4 came from outside and has no recipe"):
            studio.regenerate(made.id)
        assert studio.jobs() == ()


def test_an_edited_video_of_ours_can_be_kept_without_its_recipe(library, tmp_path):
    made, data = with_recipe(video())
    (tmp_path / "a.mp4").write_bytes(data)
    ffmpeg = encoder.ffmpeg_version().partition("(")[2].rstrip(")")
    subprocess.run([ffmpeg, "-v", "error", "-i", tmp_path / "a.mp4", "-map_metadata", "0", "-vf", "negate",
                    "-pix_fmt", "yuv420p", tmp_path / "b.mp4"], check=True)
    with pytest.raises(Foreign, match="was edited"):
        library.import_mp4(tmp_path / "b.mp4")
    kept = kept_unknown(library, tmp_path / "b.mp4")
    assert kept.recipe is None and kept.id != made.id
    assert library.import_mp4(tmp_path / "a.mp4", unknown=True) == ImportResult(made, "added")  # its recipe is complete


@pytest.mark.parametrize("content", [
    b"", b"text", b"ffconcat version 1.0\nfile /etc/passwd\n", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
    b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2", b"\x1aE\xdf\xa3webm",
])
def test_a_file_that_is_no_video_is_refused_also_when_it_is_wanted(library, tmp_path, content):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    for unknown in (False, True):
        with pytest.raises(ClipError) as refused:
            library.import_mp4(path, unknown=unknown)
        assert not isinstance(refused.value, Foreign)
    assert not any((tmp_path / "data" / "library").iterdir())


@pytest.mark.parametrize(("options", "words"), [
    (("-c:v", "mpeg4"), "mpeg4"), (("-pix_fmt", "yuv444p"), "yuv444p"), (("-pix_fmt", "yuv420p10le"), "10le")])
def test_a_video_that_not_every_browser_plays_is_refused_with_the_way_to_mend_it(library, tmp_path, options, words):
    path = foreign(tmp_path / "a.mp4", *options)
    with pytest.raises(ClipError, match=words):
        library.import_mp4(path, unknown=True)


def test_a_pipe_or_a_device_is_refused_and_not_waited_for(library, tmp_path):
    pipe = tmp_path / "a.mp4"
    os.mkfifo(pipe)
    endless = tmp_path / "b.mp4"
    endless.symlink_to("/dev/zero")
    for path in (pipe, endless):
        for unknown in (False, True):
            with pytest.raises(ClipError, match="is no file but a pipe or a device"):
                library.import_mp4(path, unknown=unknown)
    assert not any((tmp_path / "data" / "library").iterdir())


@pytest.mark.parametrize("limit", ["MAX_BYTES", "MAX_FRAMES", "MAX_SIDE", "MAX_DECODED_BYTES"])
def test_every_limit_is_kept_before_anything_is_decoded(library, tmp_path, monkeypatch, limit):
    path = foreign(tmp_path / "a.mp4")
    monkeypatch.setattr(clip, limit, 7)
    with pytest.raises(ClipError, match=r"at most 7 are accepted|larger than the studio reads"):
        library.import_mp4(path, unknown=True)


def test_a_video_of_a_newer_studio_is_not_robbed_of_its_recipe(library, tmp_path):
    document = json.loads(sidecar.comment_of(video()))
    (tmp_path / "a.mp4").write_bytes(clip.encode_bytes(moving(), 8, json.dumps({**document, "schema": 2}))[0])
    with pytest.raises(ReadOnly, match="newer studio"):
        library.import_mp4(tmp_path / "a.mp4", unknown=True)


def test_a_dropped_file_passes_through_and_leaves_only_its_video(tmp_path):
    made, data = with_recipe(video())
    with open_studio(Settings.from_env({}, data_dir=tmp_path), "visit") as studio:
        assert studio.transfer.import_bytes(data, "-weird name.mp4") == ImportResult(made, "added")
        with pytest.raises(ClipError):
            studio.transfer.import_bytes(b"text", "a.mp4")
        assert list((tmp_path / "derived").iterdir()) == []


def test_a_video_of_another_library_brings_its_tags_and_joins_them(library, tmp_path):
    other = Library(tmp_path / "other", writable=True)
    made, data = with_recipe(video(tags=("theirs",), favorite=True))
    other.publish(made, data)
    pair = other.mp4_path(made.id), other.sidecar_path(made.id)
    assert library.merge(*pair) == ImportResult(made, "added")
    library.change(made.id, tags=["mine"], favorite=False)
    assert library.merge(*pair) == ImportResult(replace(made, tags=("mine", "theirs"), favorite=True), "here")
    again = shutil.copy(pair[0], tmp_path / "alone.mp4")
    assert library.merge(Path(again)).outcome == "here"
    pair[0].write_bytes(data[:-1] + b"?")
    with pytest.raises(ClipError, match="The bytes of .* do not match its result"):
        library.merge(*pair)
    other.close()


@given(st.text(max_size=300))
def test_any_name_becomes_a_title(name):
    title = clean_name(name)
    assert 0 < len(title) <= NAME_LENGTH
    assert "/" not in title and "\\" not in title and "\n" not in title
    title.encode()
