"""The comparison and the story of a video, run without a browser."""

from dataclasses import replace

import numpy as np
import pytest
import samples
from screens import HOSTILE, at_button, page, press, run, said

from core.domain.verdict import Verdict
from core.library.lineage import origin_of
from core.studio import Studio


def keep(opened: Studio, prompt: str = "a red ball", frames: np.ndarray | None = None, **changes: object):
    return samples.publish(opened, *samples.with_recipe(samples.video(prompt, **changes), frames))


def inverted() -> np.ndarray:
    frames = samples.moving()
    frames[4:, :16] = 255 - frames[4:, :16]
    return frames


def test_two_videos_of_the_address_are_compared(studio):
    a, b = keep(studio, "a red ball"), keep(studio, "a blue ball", inverted(), seed=99, guidance_scale=7.5)
    at = page("gallery", compare=f"{a.id},{b.id}")
    assert not at.error and "Over 8 frames: PSNR " in said(at)
    cells = at.table[0].value.values.tolist()
    assert ["Prompt", "a red ball", "a blue ball"] in cells and ["Seed", "1234", "99"] in cells
    assert ["Guidance", "5", "7\\.5"] in cells and not any(row[0] == "Steps" for row in cells)
    numbers = at.dataframe[0].value
    assert list(numbers["Frame"]) == list(range(1, 9))
    assert float(numbers["PSNR (dB)"][0]) > 30 > float(numbers["PSNR (dB)"][7])
    assert studio.comparisons.clip_path(a.id, b.id).is_file()


def test_a_regeneration_and_its_parent_show_the_verdict_and_equal_settings(studio):
    parent = keep(studio)
    child = keep(studio, parent=parent.id, verdict=Verdict("identical"))
    at = page("gallery", compare=f"{parent.id},{child.id}")
    assert at.success and "no pixel of the 8 frames differs" in said(at)
    assert "Both were asked for with the same settings, seed included." in said(at)
    assert "the same weights, machine and versions" in said(at)


def test_another_machine_is_named_as_a_difference(studio):
    a = keep(studio)
    receipt = replace(a.receipt, environment=replace(a.receipt.environment, device_name="another"))
    b = keep(studio, receipt=receipt)
    told = said(page("gallery", compare=f"{a.id},{b.id}")).replace("\\", "")
    assert "another processor or GPU (a processor → another)" in told


def test_other_sizes_are_said_and_not_measured(studio):
    a, b = keep(studio), keep(studio, frames=samples.moving(8, 32, 48), width=48)
    at = page("gallery", compare=f"{a.id},{b.id}")
    assert "Not measured" in said(at) and "Nothing is scaled" in at.info[0].value and not at.dataframe


def test_the_sides_are_swapped_and_opened(studio):
    a, b = keep(studio), keep(studio, frames=inverted())
    at = press(page("gallery", compare=f"{a.id},{b.id}"), "swap")
    assert at.query_params["compare"] == f"{b.id},{a.id}"
    at = press(at, "open_a")
    assert at.get("video")[0].url.endswith(f"{b.id}.mp4") and "compare" not in at.query_params


def test_the_way_back_leads_to_the_video_it_was_opened_from(studio):
    a, b = keep(studio), keep(studio, frames=inverted())
    at = page("gallery", video=b.id, compare=f"{a.id},{b.id}")
    assert at.button(key="back").label == "Back to the video"
    assert press(at, "back").get("video")[0].url.endswith(f"{b.id}.mp4")
    at = press(page("gallery", compare=f"{a.id},{b.id}"), "back")
    assert at_button(at, f"open_{a.id}")


@pytest.mark.parametrize("asked", ["x", "a,b", "../../etc/passwd,x", ",", "<img src=x>,", "{a}", "{a},{a}",
                                   "{a},20200101-000000-abcdef", "{a},{b},{a}"])
def test_an_address_that_names_no_two_videos_is_a_sentence(studio, asked):
    a, b = keep(studio), keep(studio)
    at = page("gallery", compare=asked.format(a=a.id, b=b.id))
    assert len(at.error) == 1 and at_button(at, "back") and not at.table


def test_a_video_whose_file_is_gone_is_a_sentence(studio):
    a, b = keep(studio), keep(studio)
    studio.library.mp4_path(b.id).unlink()
    assert "is missing" in page("gallery", compare=f"{a.id},{b.id}").error[0].value


def test_texts_of_a_person_are_shown_as_text(studio):
    a, b = keep(studio, HOSTILE), keep(studio, "harmless", inverted())
    at = page("gallery", compare=f"{a.id},{b.id}")
    cells = [str(cell) for row in at.table[0].value.values.tolist() for cell in row]
    assert any("bold" in cell for cell in cells) and not any("**bold**" in cell for cell in cells)


# The story

def family(opened: Studio):
    """A grandparent, a parent remixed from it, and three made from that."""
    root = keep(opened, "a red ball", id="20261122-081301-000001", seed=1)
    parent = keep(opened, "a blue ball", id="20261122-081302-000002", parent=root.id, seed=2,
                  origin=origin_of(opened.library, root.id, "remix"))
    origin = origin_of(opened.library, parent.id, "remix")
    again = keep(opened, "a blue ball", id="20261122-081303-000003", parent=parent.id, seed=2,
                 origin=replace(origin, kind="regenerate"), verdict=Verdict("identical"))
    remix = keep(opened, "a blue ball", id="20261122-081304-000004", parent=parent.id, seed=2, origin=origin,
                 guidance_scale=7.5, num_inference_steps=30)
    child = keep(opened, "a blue ball", id="20261122-081305-000005", parent=remix.id, seed=3,
                 origin=origin_of(opened.library, remix.id, "remix"))
    return root, parent, again, remix, child


def test_the_tree_is_shown_with_what_changed_and_walked(studio):
    root, parent, again, remix, child = family(studio)
    at = page("gallery", video=remix.id)
    told = said(at).replace("\\", "")
    for part in ("Remixed: prompt changed, seed 1 → 2", "This video · Remixed: steps 20 → 30, guidance 5 → 7.5",
                 "Made from the same video", "Regenerated", "2 made from it"):
        assert part in told, part
    assert not at_button(at, f"story_{remix.id}")
    for other in (root, parent, again, child):
        assert at_button(at, f"story_{other.id}")
    at = press(press(at, f"story_{parent.id}"), f"story_{root.id}")
    assert at.get("video")[0].url.endswith(f"{root.id}.mp4") and "2 made from it" in said(at)
    at = press(page("gallery", video=remix.id), f"story_compare_{child.id}")
    assert at.query_params["compare"] == f"{remix.id},{child.id}"


def test_a_deleted_parent_is_told_of_in_the_story(studio):
    root, parent, _again, remix, _child = family(studio)
    studio.delete(parent.id)
    at = page("gallery", video=remix.id)
    told = said(at).replace("\\", "")
    assert "In the trash" in told and "Remixed: steps 20 → 30" in told
    assert at_button(at, f"story_{root.id}") and not at_button(at, f"story_{parent.id}")
    studio.library.trash.erase(parent.id)
    assert "Not in this library" in said(page("gallery", video=remix.id))


def test_a_video_without_relatives_has_no_story(studio):
    assert "Story" not in said(page("gallery", video=keep(studio).id))


def test_any_video_is_found_to_compare_with_relatives_first(studio):
    root, parent, again, remix, child = family(studio)
    other = keep(studio, "a lighthouse")
    at = page("gallery", video=parent.id)
    offered = [b.key.removeprefix("compare_") for b in at.button if b.key and b.key.startswith("compare_2026")]
    assert offered[:3] == [root.id, remix.id, again.id] and other.id in offered and parent.id not in offered
    assert "its parent · " in said(at) and "made from it · " in said(at)
    at.text_input(key=f"compare_q_{parent.id}").set_value("lighthouse").run()
    at = press(at, f"compare_{other.id}")
    assert at.query_params["compare"] == f"{parent.id},{other.id}"
    at = page("gallery", video=child.id)
    at.text_input(key=f"compare_q_{child.id}").set_value(again.id).run()
    assert press(at, f"compare_{again.id}").query_params["compare"] == f"{again.id},{child.id}"


def test_a_finished_regeneration_is_compared_from_its_card_the_stage_and_the_opened_video(studio):
    parent = keep(studio)
    job = studio.regenerate(parent.id)
    run(studio, job)
    keep(studio, id=job.id, parent=parent.id, verdict=Verdict("identical"))
    studio.ledger.move(job.id, 1, ("running",), "done", "")
    for name, key in (("queue", f"compare_job_{job.id}"), ("", "compare_stage")):
        at = press(page(name), key)
        assert at.query_params["compare"] == f"{parent.id},{job.id}" and at.query_params["video"] == job.id
        assert at.table, name
    for video, key in ((parent.id, "compare_child"), (job.id, "compare_parent")):
        assert press(page("gallery", video=video), key).query_params["compare"] == f"{parent.id},{job.id}"
    studio.delete(parent.id)
    assert not at_button(page("queue"), f"compare_job_{job.id}") and not at_button(page(), "compare_stage")
    assert not at_button(page("gallery", video=job.id), "compare_parent")


@pytest.mark.parametrize(("content", "words", "then"), [
    ("{", "A file of it is missing or damaged", "is damaged"),
    ('{"schema": 99, "request": {"prompt": "a blue ball"}}', "Made by a newer studio", "A newer studio made it"),
])
def test_a_parent_that_cannot_be_read_is_said_to_be_what_it_is_and_opened(
        studio, content, words, then):
    root, parent, _again, remix, _child = family(studio)
    studio.library.sidecar_path(parent.id).write_text(content)
    at = page("gallery", video=remix.id)
    told = said(at).replace("\\", "")
    assert not at.error and f"{words} · Made from another video: prompt changed, seed 1 → 2" in told
    assert at_button(at, f"story_{root.id}") and not at_button(at, f"story_compare_{parent.id}")
    at = press(at, f"story_{parent.id}")
    assert then in " ".join(each.value for each in (*at.error, *at.info))
