"""The trash: deleted videos stay complete, come back complete, and go when their time is up."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import samples
from samples import IDENTICAL, mp4, video

from core.errors import NotFound, StudioError
from core.library.library import Library
from core.library.search.query import Query

NOON = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
WHOLE = video("a red ball", id="20261122-000001-abcdef", tags=("late", "ü"), favorite=True, verdict=IDENTICAL,
              parent="20261121-000001-abcdef")


def files(library: Library) -> list[Path]:
    return sorted(path for path in (library.data_dir / "library").rglob("*") if path.is_file())


def test_a_deleted_video_is_found_only_in_the_trash_and_comes_back_as_it_was(library):
    library.publish(WHOLE, mp4()[0])
    before = files(library)
    assert library.delete(WHOLE.id, NOON)
    assert library.search(Query()).total == 0 and library.verify() == []
    with pytest.raises(NotFound, match="is in the trash"):
        library.get(WHOLE.id)
    (trashed,) = library.trash.page().videos
    assert (trashed.video, trashed.bytes, trashed.deleted) == (WHOLE, WHOLE.result.bytes, NOON.isoformat())
    assert library.trash.path(WHOLE.id, ".poster.webp").is_file()
    with pytest.raises(NotFound):
        library.mp4_path(WHOLE.id)
    assert library.deleting.restore(WHOLE.id) == WHOLE
    assert files(library) == before and not list(library.trash.root.iterdir())
    assert samples.found(library, Query(favorite=True, tags=("ü",), verdict="identical")) == (WHOLE,)


def test_restoring_twice_is_restoring_once_and_what_is_nowhere_is_a_sentence(library):
    library.publish(WHOLE, mp4()[0])
    library.delete(WHOLE.id)
    assert library.deleting.restore(WHOLE.id) == library.deleting.restore(WHOLE.id) == WHOLE
    with pytest.raises(NotFound, match="There is no video"):
        library.deleting.restore("20200101-000000-abcdef")
    with pytest.raises(NotFound, match="in the trash"):
        library.deleting.erase(WHOLE.id)


def test_videos_deleted_together_stay_together_and_the_last_deletion_comes_first(library):
    kept = [library.publish(video(id=f"20261122-00000{n}-abcdef"), mp4()[0]) for n in range(5)]
    for number, each in enumerate(kept):
        library.delete(each.id, NOON + timedelta(minutes=number // 2))
    page = library.trash.page(page_size=2)
    assert [each.id for each in page.videos] == [kept[4].id, kept[3].id]
    assert (page.total, page.pages, page.bytes) == (5, 3, 5 * WHOLE.result.bytes)
    assert [each.id for each in library.trash.page(9, 2).videos] == [kept[0].id]
    assert sorted(path.name for path in library.trash.root.iterdir()) == [
        "20261124-120000", "20261124-120100", "20261124-120200"]


def test_videos_long_enough_in_the_trash_are_removed_a_few_at_a_time_and_nothing_else(library):
    kept = [library.publish(video(id=f"20261122-00000{n}-abcdef"), mp4()[0]) for n in range(4)]
    for number, each in enumerate(kept[:3]):
        library.delete(each.id, NOON + timedelta(days=number))
    month = NOON + timedelta(days=30)
    assert library.deleting.expire(10, month - timedelta(seconds=1)) == 0
    assert library.deleting.expire(10, month) == 1
    assert library.deleting.expire(1, month + timedelta(days=9)) == 1
    assert [each.id for each in library.trash.content()] == [kept[2].id]
    assert library.deleting.expire(10, month + timedelta(days=9)) == 1 and library.trash.content() == []
    assert samples.found(library) == (kept[3],) and library.verify() == []


def test_a_video_made_again_under_its_id_keeps_its_place_and_the_trash_its_copy(library):
    library.publish(WHOLE, mp4()[0])
    library.delete(WHOLE.id, NOON)
    fresh = replace(WHOLE, tags=(), favorite=False)
    assert library.publish(fresh, mp4()[0]) == fresh
    with pytest.raises(StudioError, match="in the library already"):
        library.deleting.restore(WHOLE.id)
    assert library.get(WHOLE.id) == fresh and library.trash.read(WHOLE.id) == WHOLE
    library.delete(WHOLE.id, NOON + timedelta(hours=1))
    assert [each.deleted for each in library.trash.content()] == [(NOON + timedelta(hours=1)).isoformat()]
    assert library.deleting.restore(WHOLE.id) == fresh


def test_of_a_video_without_mp4_the_settings_are_kept_aside(library):
    library.publish(WHOLE, mp4()[0])
    library.mp4_path(WHOLE.id).unlink()
    assert not library.delete(WHOLE.id)
    (left,) = files(library)
    assert (left.parent.name, left.name) == ("lost", f"{WHOLE.id}.json")
    assert library.search(Query()).total == 0 and library.trash.content() == []


def test_the_index_is_made_again_without_what_is_in_the_trash(library):
    kept = [library.publish(video(id=f"20261122-00000{n}-abcdef"), mp4()[0]) for n in range(3)]
    library.delete(kept[1].id)
    assert library.reindex().videos == 2
    library.close()
    (library.data_dir / "index.json").unlink()
    opened = Library(library.data_dir, writable=True)
    assert samples.found(opened) == (kept[2], kept[0]) and opened.deleting.restore(kept[1].id) == kept[1]
    opened.close()


def test_strange_names_in_the_trash_are_left_alone(library):
    library.publish(WHOLE, mp4()[0])
    library.delete(WHOLE.id, NOON)
    strange = [library.trash.root / "20261399-999999" / "x.mp4", library.trash.root / "mine" / f"{WHOLE.id}.mp4",
               library.trash.root / f"{NOON:%Y%m%d-%H%M%S}" / "notes.txt"]
    for path in strange:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine", encoding="utf-8")
    library.close()
    opened = Library(library.data_dir, writable=True)
    assert opened.trash.page().total == 1 and opened.deleting.expire(9, NOON + timedelta(days=99)) == 1
    assert all(path.read_text(encoding="utf-8") == "mine" for path in strange)
    opened.close()


def test_a_trash_without_pictures_or_settings_still_gives_the_video_back(library):
    library.publish(WHOLE, mp4()[0])
    library.delete(WHOLE.id)
    for suffix in (".poster.webp", ".animation.webp"):
        library.trash.path(WHOLE.id, suffix).unlink()
    library.close()
    opened = Library(library.data_dir, writable=True)
    assert opened.trash.page().videos[0].video == WHOLE and opened.deleting.restore(WHOLE.id) == WHOLE
    opened.close()


@pytest.mark.parametrize("way", ["erased", "expired", "no trash"])
def test_the_derived_files_of_a_video_go_when_it_is_erased_and_not_before(tmp_path, way):
    library = Library(tmp_path, writable=True, trash_days=0 if way == "no trash" else 30)
    gone, stays, other = (library.publish(video(id=f"20261122-00000{n}-abcdef"), mp4()[0]).id for n in range(3))
    derived = tmp_path / "derived"
    derived.mkdir()
    of_it = [f"{gone}-0123.gif", f"compare-1-{stays}-{gone}-01-23.mp4", f"compare-1-{gone}-{stays}-01-23.json"]
    others = [f"{stays}-0123.gif", f"compare-1-{stays}-{other}-01-23.mp4"]
    for name in (*of_it, *others):
        (derived / name).write_bytes(b"made")
    library.delete(gone, NOON)
    if way != "no trash":
        assert len(list(derived.iterdir())) == 5, "it may come back from the trash"
        library.delete(stays, NOON + timedelta(days=1))
    if way == "erased":
        library.deleting.erase(gone)
    elif way == "expired":
        assert library.deleting.expire(10, NOON + timedelta(days=30)) == 1
    assert sorted(path.name for path in derived.iterdir()) == sorted(others)
    library.close()
