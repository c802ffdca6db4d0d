"""Changes of the library as values: read as they were written, refused with a sentence, safe to make twice."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from samples import mp4, video, with_recipe

from core.errors import BadRequest, NotFound
from core.jobs.queue.ledger import Ledger
from core.library.changes import (
    CHANGES,
    ChangeVideo,
    DeleteVideo,
    EraseVideo,
    FoundFile,
    ImportVideo,
    MergeVideos,
    Reindex,
    RestoreVideo,
    read_change,
)
from core.library.library import Library

ID, OTHER = "20261122-000001-abcdef", "20261122-000002-abcdef"
EVERY = (
    ChangeVideo(ID, ("night", "ü"), True), ChangeVideo(ID, add=("new",), remove=("old",)), ChangeVideo(ID, ()),
    DeleteVideo(ID), DeleteVideo(ID, "2026-11-22T08:13:01.000+00:00"), RestoreVideo(ID), EraseVideo(ID),
    ImportVideo("/a.mp4"), ImportVideo("/a.mp4", "holiday.mp4", True, "ada"),
    MergeVideos((FoundFile("/a.mp4"), FoundFile("/b.mp4", "/b.json", OTHER)), True), MergeVideos(()), Reindex(),
)


@pytest.fixture
def library(tmp_path):
    library = Library(tmp_path, writable=True)
    library.publish(video("a red ball", id=ID, tags=("old",)), mp4()[0])
    yield library
    library.close()


@pytest.mark.parametrize("change", EVERY, ids=repr)
def test_a_change_is_read_as_it_was_written_by_every_door(tmp_path, change):
    assert read_change(change.kind, json.loads(json.dumps(change.arguments()))) == change
    ledger = Ledger(tmp_path / "jobs.sqlite")
    ledger.command(change.kind, change.arguments())
    command = ledger.next_command()
    assert read_change(command.kind, command.args) == change
    ledger.close()


def test_every_change_is_among_these():
    assert {type(change) for change in EVERY} == set(CHANGES.values())


@pytest.mark.parametrize(("kind", "arguments", "change"), [
    ("delete", {"id": ID}, DeleteVideo(ID)),
    ("restore", {"id": ID}, RestoreVideo(ID)),
    ("erase", {"id": ID}, EraseVideo(ID)),
    ("change", {"id": ID, "tags": None, "favorite": True}, ChangeVideo(ID, favorite=True)),
    ("change", {"id": ID, "tags": ["ball"], "favorite": None}, ChangeVideo(ID, ("ball",))),
    ("import", {"path": "/a.mp4", "name": "", "unknown": False, "owner": ""}, ImportVideo("/a.mp4")),
    ("merge", {"videos": [{"path": "/a.mp4", "twin": None, "beside": "/a.json"}], "unknown": False},
     MergeVideos((FoundFile("/a.mp4", "/a.json"),))),
    ("reindex", {}, Reindex()),
])
def test_changes_that_version_0_1_0_left_in_the_ledger_are_understood(kind, arguments, change):
    assert read_change(kind, arguments) == change


@pytest.mark.parametrize(("kind", "arguments", "sentence"), [
    ("drop tables", {}, "'drop tables' is not a change of the library"),
    ("apply", {}, "'apply' is not a change"),
    ("delete", {}, "the change 'delete' cannot be made: id is missing"),
    ("delete", {"id": 7}, "id is 7"), ("delete", {"id": None}, "id is None"),
    ("delete", {"id": ID, "force": True, "also": 1}, "does not know also, force"),
    ("reindex", {"id": ID}, "does not know id"),
    ("change", {"id": ID, "tags": "night"}, "tags is 'night'"), ("change", {"id": ID, "tags": [1]}, "tags is 1"),
    ("change", {"id": ID, "favorite": "yes"}, "favorite is 'yes'"),
    ("import", {"path": "/a.mp4", "unknown": 1}, "unknown is 1"),
    ("merge", {"videos": {}}, "videos is {}"), ("merge", {"videos": [{"beside": "/a.json"}]}, "path is missing"),
])
def test_a_wrong_change_is_refused_with_the_reason_and_nothing_is_done(kind, arguments, sentence):
    with pytest.raises(BadRequest, match=sentence) as refused:
        read_change(kind, arguments)
    assert refused.value.field == "request"


def test_a_moment_that_is_none_is_refused_and_the_video_stays(library):
    with pytest.raises(BadRequest, match="'yesterday' is not a moment"):
        DeleteVideo(ID, "yesterday").apply(library)
    assert library.get(ID)


def test_each_change_does_what_it_says_and_answers_in_json(library, tmp_path):
    before = library.get(ID)
    changed = ChangeVideo(ID, add=("new",), remove=("old",), favorite=True).apply(library)
    assert changed == library.get(ID).document() == replace(before, tags=("new",), favorite=True).document()
    moment = "2026-11-22T08:13:01.000+00:00"
    assert DeleteVideo(ID).asked_at(moment).apply(library) == {"trashed": True}
    assert [each.deleted for each in library.trash.content()] == [datetime.fromisoformat(moment).isoformat()]
    assert RestoreVideo(ID).apply(library) == changed
    DeleteVideo(ID).apply(library)
    assert EraseVideo(ID).apply(library) == {}
    other, data = with_recipe(video("another", id=OTHER))
    (tmp_path / "sent.mp4").write_bytes(data)
    imported = ImportVideo(str(tmp_path / "sent.mp4")).apply(library)
    assert (imported["video"]["id"], imported["outcome"]) == (OTHER, "added")
    merged = MergeVideos((FoundFile(str(tmp_path / "sent.mp4")), FoundFile(str(tmp_path / "none.mp4")))).apply(library)
    assert merged[0] == {"outcome": "here", "id": OTHER}
    assert merged[1]["outcome"] == "refused" and "none.mp4 cannot be opened" in merged[1]["reason"]
    assert Reindex().apply(library)["videos"] == 1
    for answer in (changed, imported, merged):
        json.dumps(answer)


def test_a_deletion_keeps_the_moment_it_was_asked_for_first():
    first = DeleteVideo(ID).asked_at("2026-11-22T08:13:01+00:00")
    assert first.asked_at(datetime.now(UTC).isoformat()) == first
    assert RestoreVideo(ID).asked_at("2026-11-22T08:13:01+00:00") == RestoreVideo(ID)


def test_a_change_that_was_made_before_a_crash_is_made_again_without_harm(library):
    for change, answer in ((ChangeVideo(ID, add=("new",)), None), (DeleteVideo(ID), {"trashed": True}),
                           (RestoreVideo(ID), None), (DeleteVideo(ID), {"trashed": True}), (EraseVideo(ID), {}),
                           (Reindex(), None)):
        first, second = change.apply(library), change.ensure(library)
        assert second == (first if answer is None else answer)
    assert DeleteVideo(ID).ensure(library) == {"trashed": False}  # it is gone, as it was wanted
    with pytest.raises(NotFound):
        DeleteVideo(ID).apply(library)
    with pytest.raises(NotFound):
        ChangeVideo(ID, favorite=True).ensure(library)


def test_a_bulk_action_with_wrong_arguments_is_refused_before_it_is_accepted(tmp_path):
    ledger = Ledger(tmp_path / "jobs.sqlite")
    for action, args in (("delete", {"id": OTHER, "for_good": True}), ("change", {"tags": "night"}), ("reindex", {}),
                         ("import", {"path": "/a.mp4"}), ("merge", {"videos": []})):
        with pytest.raises(BadRequest):
            ledger.bulk_queue.add(action, [ID], args)
    assert ledger.bulk_queue.unfinished() == ()
    ledger.close()
