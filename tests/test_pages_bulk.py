"""Bulk actions on the screens: chosen over pages and filters, then changed, deleted, brought back."""

import re

import pytest
from filelock import FileLock
from samples import mp4, video
from screens import at_button, healthy, page, press, said
from streamlit.testing.v1 import AppTest

from core.library.library import Library
from core.library.search.query import Query
from core.studio import Studio


def fill(studio: Studio, count: int = 30) -> list[str]:
    """Videos for two pages; their ids, newest first."""
    ids = [f"20260101-{number:06d}-abcdef" for number in range(count)]
    library = Library(studio.settings.data_dir, writable=True)
    for number, video_id in enumerate(ids):
        what = "ball" if number % 2 else "square"
        library.publish(video(f"{what} {number}", id=video_id, created=f"2026-01-01T00:{number:02d}:00+00:00"),
                        mp4()[0])
    library.close()
    return ids[::-1]


def choosing(**query: str) -> AppTest:
    return press(page("gallery", **query), "pick")


def tick(at: AppTest, video_id: str) -> AppTest:
    return healthy(at.checkbox(key=f"pick_{video_id}").check().run())


def chosen(at: AppTest) -> str:
    return next(each.value for each in at.markdown if "selected**" in each.value)


def in_address(at: AppTest) -> str:
    """The selection in the address."""
    said = at.query_params["g_pick"]
    return said if isinstance(said, str) else said[0]


def test_without_a_selection_the_gallery_has_one_quiet_button_and_no_boxes(studio):
    fill(studio)
    at = page("gallery")
    assert at_button(at, "pick") and not at.checkbox and not at_button(at, "bulk_delete")
    at = press(choosing(), "picked_done")
    assert at_button(at, "pick") and not at.checkbox


def test_a_selection_survives_pages_filters_and_an_opened_video_and_says_how_large_it_is(studio):
    ids = fill(studio)
    at = tick(tick(choosing(), ids[0]), ids[1])
    each = mp4()[1].bytes
    assert chosen(at).startswith("**2 selected** · ") and at.checkbox(key=f"pick_{ids[0]}").value
    at.query_params["g_page"] = "2"
    at = tick(healthy(at.run()), ids[27])
    assert chosen(at) == f"**3 selected** · {3 * each / 1000:.1f} kB"
    at.text_input(key="g_q").set_value("square")
    at = healthy(at.run())
    assert "3 selected" in chosen(at) and at.checkbox(key=f"pick_{ids[1]}").value
    at = press(at, "pick_page")
    assert "16 selected" in chosen(at)  # 15 squares, and the ball from before
    at.query_params["video"] = ids[0]
    healthy(at.run())
    del at.query_params["video"]
    assert "16 selected" in chosen(healthy(at.run()))
    at = press(at, "pick_none")
    assert "0 selected" in chosen(at) and not at_button(at, "bulk_delete")


def test_a_selection_is_there_again_after_a_reload(studio):
    ids = fill(studio, 40)
    at = tick(tick(choosing(), ids[0]), ids[5])
    address = f"{ids[0]},{ids[5]}"
    assert in_address(at) == address
    at = page("gallery", g_pick=address)
    assert chosen(at).startswith("**2 selected**") and at.checkbox(key=f"pick_{ids[5]}").value
    at = press(press(at, "pick_none"), "pick_all")
    address = in_address(at)
    assert re.fullmatch("[0-9a-f]{32}", address) and "40 selected" in chosen(page("gallery", g_pick=address))
    at = page("gallery", g_pick="0" * 32)
    assert "0 selected" in chosen(at) and "studio was restarted" in at.toast[0].value
    assert "g_pick" not in press(at, "picked_done").query_params
    assert "1 selected" in chosen(page("gallery", g_pick=f"{ids[3]},20200101-000000-abcdef,x"))


def test_a_press_on_a_poster_chooses_and_a_page_is_chosen_at_once(studio):
    ids = fill(studio)
    at = press(choosing(), f"open_{ids[3]}")
    assert "1 selected" in chosen(at) and "video" not in at.query_params
    assert "0 selected" in chosen(press(at, f"open_{ids[3]}"))
    assert "24 selected" in chosen(press(at, "pick_page"))
    assert "30 selected" in chosen(press(at, "pick_all"))


def test_chosen_videos_are_tagged_and_starred(studio):
    ids = fill(studio)
    at = tick(tick(choosing(), ids[0]), ids[5])
    at.multiselect(key="bulk_add").set_value(["keeper"])
    at = press(healthy(at.run()), "bulk_tag")
    assert "The tags of 2 videos are changed." in said(at) and "2 selected" in chosen(at)
    assert set(studio.bulk_actions.found(Query(tags=("keeper",)))) == {ids[0], ids[5]}
    at = press(at, "bulk_star")
    assert "2 videos are marked as favourites." in said(at)
    assert set(studio.bulk_actions.found(Query(favorite=True))) == {ids[0], ids[5]}
    at.multiselect(key="bulk_remove").set_value(["keeper"])
    press(healthy(at.run()), "bulk_untag")
    assert studio.bulk_actions.found(Query(tags=("keeper",))) == {}


def test_chosen_videos_are_deleted_and_one_press_brings_them_back(studio):
    ids = fill(studio)
    at = press(press(choosing(g_q="ball"), "pick_page"), "bulk_delete")
    assert "15 videos are in the trash." in said(at) and "0 selected" in chosen(at)
    assert "No video matches." in said(at) and at.button(key="pick_page").disabled
    assert studio.search(Query()).total == 15
    at = press(at, "undo")
    assert "15 videos are back in the library." in said(at) and list(studio.bulk_actions.found(Query())) == ids
    at = press(at, "done_read")
    assert "are back" not in said(at)


def test_where_no_trash_is_kept_many_are_deleted_only_after_a_question(no_trash):
    ids = fill(no_trash, 3)
    at = tick(choosing(), ids[0])
    assert "Delete 1 video? This cannot be undone." in said(at)
    at = press(at, "bulk_delete")
    assert "1 video is deleted." in said(at) and not at_button(at, "undo")
    assert no_trash.search(Query()).total == 2


def test_refusals_are_listed_video_by_video(studio):
    ids = fill(studio, 3)
    studio.library.sidecar_path(ids[1]).write_bytes(b"half of a side")
    at = press(press(choosing(), "pick_page"), "bulk_star")
    assert "2 videos are marked as favourites. 1 was refused." in said(at)
    assert re.search(rf"{ids[1]}: .*is damaged", said(at))


def test_chosen_videos_are_queued_again_all_or_none(studio, monkeypatch):
    ids = fill(studio, 3)
    at = tick(choosing(), ids[0])
    assert "The video will be made again with the same seed." in said(at)
    at = press(tick(at, ids[2]), "bulk_queue")
    assert "2 videos will be made again with the same seeds, one after the other." in said(at)
    assert "2 videos will be made again." in said(at)
    assert [job.task.parent for job in studio.jobs(oldest_first=True)] == [ids[0], ids[2]]
    object.__setattr__(studio.settings, "max_queued", 3)
    at = press(at, "bulk_queue")
    (refusal,) = at.toast
    assert refusal.value.startswith("The queue has room for 1 more, and 2 videos were chosen")
    assert len(studio.jobs()) == 2


def test_exactly_two_can_be_compared_and_the_archive_has_an_address(studio):
    ids = fill(studio, 3)
    at = tick(choosing(), ids[0])
    assert not at_button(at, "bulk_compare")
    at = tick(at, ids[2])
    (link,) = [each for each in at.get("link_button") if each.label == "Download ZIP"]
    name = re.fullmatch(r"/app/static/archive/([0-9a-f]{32})\.zip", link.url).group(1)
    assert studio.bulk_actions.packed(name) == (ids[0], ids[2])
    at.button(key="bulk_compare").click().run()
    assert at.query_params["compare"] in (f"{ids[0]},{ids[2]}", [f"{ids[0]},{ids[2]}"])


def test_a_running_bulk_action_shows_its_progress_and_can_be_stopped(studio, monkeypatch):
    ids = fill(studio, 4)
    bulk = studio.ledger.bulk_queue.add("delete", ids, {})
    studio.ledger.bulk_queue.note(bulk, 1, ())
    monkeypatch.setattr("core.operations.bulk_actions.PATIENCE_S", 0.0)
    with FileLock(studio.settings.data_dir / "studio.lock"):  # as the process that does it holds it
        at = page("gallery")
        (progress,) = at.get("progress")
        assert progress.text == "Deleting: 1 of 4"
        press(at, f"stop_{bulk.id}")
    monkeypatch.setattr("core.operations.bulk_actions.PATIENCE_S", 60.0)
    studio.bulk_actions.stop(bulk.id)
    assert studio.bulk_actions.bulk(bulk.id).stopped and studio.search(Query()).total == 4


def test_the_trash_shows_what_is_in_it_and_lets_it_out_or_go(studio):
    ids = fill(studio, 4)
    assert "The trash is empty." in said(page("trash"))
    studio.bulk_actions.delete(ids[:3])
    at = page("trash")
    assert "Each is removed permanently 30 days after it was deleted." in said(at) and "square 2" in said(at)
    assert {metric.label for metric in at.metric} == {"Library", "Trash", "GIFs, comparisons", "Models", "Free"}
    at = press(at, f"restore_{ids[0]}")
    assert studio.video(ids[0]) and studio.bulk_actions.trash().total == 2
    press(at, f"erase_{ids[1]}")
    assert studio.bulk_actions.trash().total == 1
    at = press(page("trash"), "empty")
    assert "The trash is empty." in said(at) and studio.search(Query()).total == 2


@pytest.mark.parametrize("view", ["Grid", "Table"])
def test_the_selection_is_drawn_in_both_views(studio, view):
    fill(studio, 3)
    at = press(choosing(g_view=view), "pick_page")
    assert "3 selected" in chosen(at)
