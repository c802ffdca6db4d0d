"""The screens, run without a browser: the texts and buttons of each, and their effects."""

import json
import re
import shutil
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import samples
from screens import ENTRY, HOSTILE, at_button, healthy, keep, page, press, run, said
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest

from core.domain.modes import MODES
from core.domain.progress import Progress
from core.domain.receipt import Environment, Receipt
from core.domain.request import VideoRequest
from core.domain.verdict import Verdict
from core.domain.video import REGENERATE
from core.errors import NotFound
from core.library.search.query import Query
from core.studio import Studio
from pages.parts import formatting as words
from pages.parts import keys, shell
from pages.parts.streamlit_private import turn_off_page_discovery

# Generate

def test_the_first_visit_has_a_form_that_works_and_a_place_for_the_video(studio):
    at = page()
    assert at.text_area(key="f_prompt").value == studio.planner.prompt_examples("demo")[0]
    assert at.number_input(key="f_num_frames").value == 16
    assert "Your video appears here." in said(at)
    press(at, "generate")
    assert [job.task.title for job in studio.jobs()] == [studio.planner.prompt_examples("demo")[0]]


def test_three_presses_are_three_jobs_each_with_its_card(studio):
    at = page()
    for _ in range(3):
        press(at, "generate")
    jobs = studio.jobs(oldest_first=True)
    assert len(jobs) == 3 and len({job.task.recipe.seed for job in jobs}) == 3
    for job in jobs:
        assert at.button(key=f"cancel_{job.id}")
    assert "Next in line" in said(at) and "Number 3 in line" in said(at)


def test_the_same_truth_stands_there_after_a_reload(studio):
    press(page(), "generate")
    (job,) = studio.jobs()
    assert at_button(page(), f"cancel_{job.id}")


@pytest.mark.parametrize(("field", "value", "sentence"), [
    ("f_num_frames", 999, "Frames: 999 is outside what Demo model accepts: 1 to 32"),
    ("f_num_inference_steps", 0, "Steps: 0 is outside"), ("f_fps", -1, "Frames per second: -1 is outside"),
    ("f_guidance_scale", 99.0, "Guidance: 99.0 is outside"),
])
def test_a_number_out_of_range_is_refused_with_a_sentence_and_nothing_is_queued(studio, field, value, sentence):
    at = page()
    at.number_input(key=field).set_value(value)
    press(at, "generate")
    assert sentence in at.error[0].value.replace("\\", "")
    assert studio.jobs() == ()


@pytest.mark.parametrize(("field", "text", "sentence"), [
    ("f_prompt", "   ", "Prompt: is empty"), ("f_prompt", "a\x00b", "Prompt: has the character U+0000"),
    ("f_prompt", "x" * 2001, "Prompt: has 2,001 characters"),
])
def test_a_prompt_that_cannot_be_is_refused_at_the_form(studio, field, text, sentence):
    at = page()
    at.text_area(key=field).set_value(text)
    press(at, "generate")
    assert sentence in at.error[0].value.replace("\\", "") and studio.jobs() == ()


@pytest.mark.parametrize("seed", ["abc", "-1", "1.5", "9" * 30])
def test_a_seed_that_is_none_is_refused(studio, seed):
    at = page()
    at.text_input(key="f_seed").set_value(seed)
    press(at, "generate")
    assert at.error[0].value.startswith("Seed\\: ") and studio.jobs() == ()


def test_a_refusal_goes_away_with_the_next_good_request(studio):
    at = page()
    at.text_input(key="f_seed").set_value("abc")
    press(at, "generate")
    at.text_input(key="f_seed").set_value(str(2**63 - 1))
    press(at, "generate")
    assert not at.error and studio.jobs()[0].task.recipe.seed == 2**63 - 1


def test_the_dice_draw_a_seed_and_an_example_fills_the_prompt(studio):
    at = press(page(), "dice")
    assert re.fullmatch(r"\d{1,19}", at.text_input(key="f_seed").value)
    example = studio.planner.prompt_examples("demo")[2]
    healthy(at.get_by_key("f_example").set_value(example).run())
    assert at.text_area(key="f_prompt").value == example


def test_another_model_brings_its_own_settings_licence_and_examples(studio):
    at = page()
    healthy(at.selectbox(key="f_model").set_value("modelscope-1.7b").run())
    spec = studio.models()["modelscope-1.7b"]
    assert at.text_area(key="f_prompt").value == spec.examples[0]
    assert at.number_input(key="f_guidance_scale").value == 9.0
    assert "CC-BY-NC-4.0" in said(at).replace("\\", "") and "Non-commercial use only" in said(at).replace("\\", "")
    assert "Downloads 3.7 GB at first use" in said(at)
    assert at.number_input(key="f_num_frames").label == "Frames · best 16–24"
    assert at.number_input(key="f_num_inference_steps").label == "Steps · best 20–30"


def test_a_prompt_of_ones_own_survives_another_model(studio):
    at = page()
    at.text_area(key="f_prompt").set_value("my own words")
    healthy(at.selectbox(key="f_model").set_value("modelscope-1.7b").run())
    assert at.text_area(key="f_prompt").value == "my own words"


def test_words_the_model_does_not_know_are_said_and_block_nothing(studio):
    folder = studio.settings.models_dir / "demo"
    folder.mkdir(parents=True)
    (folder / "model_index.json").write_text("{}")
    (folder / "vocabulary.json").write_text('{"words": ["a", "red", "ball"], "examples": ["a red ball"]}')
    at = page()
    assert at.text_area(key="f_prompt").value == "a red ball"
    healthy(at.text_area(key="f_prompt").set_value("a red dragon").run())
    assert "The demo model does not know *dragon*" in said(at)
    press(at, "generate")
    assert studio.jobs()[0].task.title == "a red dragon"


def test_remix_fills_the_form_and_remembers_where_it_came_from(studio):
    video = keep(studio, "a blue square", seed=42, num_inference_steps=21, width=32, height=32, guidance_scale=6.5)
    at = page(**{"from": video.id})
    assert at.text_area(key="f_prompt").value == "a blue square" and at.text_input(key="f_seed").value == "42"
    assert at.number_input(key="f_num_inference_steps").value == 21
    at.text_area(key="f_prompt").set_value("a green square")
    press(at, "generate")
    (job,) = studio.jobs()
    assert (job.task.relation, job.task.parent) == ("remix", video.id)
    assert job.task.recipe == replace(video.recipe, prompt="a green square")


def test_a_remix_of_a_video_that_is_gone_says_so_and_the_form_still_works(studio):
    at = page(**{"from": "20200101-000000-abcdef"})
    assert "no video" in at.error[0].value
    press(at, "generate")
    assert len(studio.jobs()) == 1 and studio.jobs()[0].task.parent is None


@pytest.mark.parametrize(("progress", "words_there"), [
    (Progress("downloading", 1_200_000_000, 3_670_000_000), "Downloading the model: 1.2 GB of 3.7 GB"),
    (Progress("loading"), "Loading the model"), (Progress("denoising", 12, 20), "Step 12 of 20"),
    (Progress("decoding", 3, 16), "Decoding 3 of 16"), (Progress("encoding"), "Writing the video"),
])
def test_a_running_job_says_what_it_does(studio, progress, words_there):
    job = run(studio, studio.submit(VideoRequest("a red ball")), progress)
    at = page()
    assert words_there in at.get("progress")[0].text
    assert at.get("image") or at.get("imgs") or progress.phase  # the preview is drawn by the browser
    assert at_button(at, f"cancel_{job.id}")


def test_cancel_stops_a_waiting_job_and_retry_brings_it_back(studio):
    at = press(page(), "generate")
    (job,) = studio.jobs()
    press(at, f"cancel_{job.id}")
    assert studio.job(job.id).state == "cancelled"
    at = page()
    assert "Cancelled" in said(at)
    press(at, f"retry_{job.id}")
    assert [one.state for one in studio.jobs(oldest_first=True)] in (["cancelled", "queued"], ["queued"])


@pytest.mark.parametrize(("error", "label", "frames"), [
    ("ClipError", "Retry", 16), ("OutOfMemory", "Use 8 frames", 8)])
def test_a_failed_job_says_what_happened_and_has_the_button_that_mends_it(studio, error, label, frames):
    job = run(studio, studio.submit(VideoRequest("a red ball", width=64, height=64)))
    studio.ledger.move(job.id, job.attempt, ("running",), "failed", "The model needs 6.7 GB.", error)
    at = page()
    assert "The model needs 6.7 GB" in at.error[0].value.replace("\\", "")
    assert at.button(key=f"retry_{job.id}").label == label
    press(at, f"retry_{job.id}")
    (again,) = studio.jobs(("queued",))
    assert again.task.recipe == replace(job.task.recipe, num_frames=frames)


def test_the_example_that_plays_is_of_the_prompt_the_form_begins_with(studio, tmp_path, monkeypatch):
    best = studio.planner.prompt_examples("demo")[0]
    for number, prompt in enumerate(("an older one", best), 1):
        video = samples.video(prompt, id=f"20261122-08130{number}-a1b2c3")
        (tmp_path / f"{video.id}.json").write_text(json.dumps(video.document()))
    monkeypatch.setattr("core.library.examples.FOLDER", tmp_path)
    assert page().get("video")[0].url == f"/app/static/example/{video.id}.mp4"


def test_before_the_first_video_an_example_plays(studio, tmp_path, monkeypatch):
    video, data = samples.with_recipe(samples.video("a shipped example"))
    (tmp_path / f"{video.id}.json").write_text(json.dumps(video.document()))
    (tmp_path / f"{video.id}.mp4").write_bytes(data)
    monkeypatch.setattr("core.library.examples.FOLDER", tmp_path)
    at = page()
    assert at.get("video")[0].url == f"/app/static/example/{video.id}.mp4" and "a shipped example" in said(at)
    press(at, "use_example")
    assert at.text_area(key="f_prompt").value == "a shipped example"
    at = press(page("gallery"), "add_examples")
    assert at_button(at, f"open_{video.id}")


def test_a_job_can_be_linked_to(studio):
    keep(studio)
    job = studio.submit(VideoRequest("the one that is asked for"))
    studio.cancel(job.id)
    other = studio.submit(VideoRequest("another"))
    studio.cancel(other.id)
    assert "the one that is asked for" in said(page(job=job.id))
    assert "no job" in said(page(job="20200101-000000-abcdef")).lower()


def done(studio: Studio, prompt: str = "a red ball", parent: str | None = None, verdict: Verdict | None = None):
    """A job that ended with a video."""
    request = VideoRequest(prompt, num_frames=8, width=32, height=32)
    job = run(studio, studio.submit(request, parent=parent, relation=REGENERATE))
    video, data = samples.with_recipe(samples.video(prompt, id=job.id, parent=parent))
    samples.publish(studio, replace(video, verdict=verdict), data)
    studio.ledger.move(job.id, job.attempt, ("running",), "committing")
    studio.ledger.move(job.id, job.attempt, ("committing",), "done")
    return studio.video(job.id)


def test_a_finished_video_plays_from_its_address_and_offers_what_comes_next(studio):
    video = done(studio)
    at = page()
    (player,) = at.get("video")
    assert player.url == f"/app/static/video/{video.id}.mp4"
    assert player.proto.loop and player.proto.autoplay and player.proto.muted
    links = {link.value: link.url for link in at.link_button}
    assert links == {"Download MP4": f"/app/static/video/{video.id}.mp4?download=1",
                     "GIF": f"/app/static/export/gif/{video.id}?download=1",
                     "WebM": f"/app/static/export/webm/{video.id}?download=1",
                     "Frames as PNG": f"/app/static/export/png/{video.id}?download=1",
                     "JSON": f"/app/static/video/{video.id}.json?download=1"}
    press(at, "regenerate_stage")
    assert (studio.jobs()[0].task.relation, studio.jobs()[0].task.parent) == ("regenerate", video.id)
    assert studio.jobs()[0].task.recipe == video.recipe


def test_a_large_form_is_made_in_sight_before_it_is_offered(studio, monkeypatch):
    monkeypatch.setattr("pages.parts.downloads.QUICK_PIXELS", 0)  # every video counts as large
    video = keep(studio, "a red ball")
    at = page("gallery", video=video.id)
    assert "GIF" not in {link.value for link in at.link_button}
    press(at, "make_gif_opened")
    assert "GIF" in {link.value for link in at.link_button} and studio.transfer.has_rendition(video, "gif")
    assert {"make_webm_opened", "make_png_opened"} <= {button.key for button in at.button}


# Gallery

def test_an_empty_gallery_says_what_to_do(studio):
    at = page("gallery")
    assert "No videos yet" in said(at)
    assert [link.label for link in at.get("page_link")] == ["Generate a video", "Trash and disk use"]


def test_the_newest_video_comes_first_and_24_stand_on_a_page(studio):
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(26):
        when = start + timedelta(hours=number)
        keep(studio, f"video number {number}", id=f"{when:%Y%m%d-%H%M%S}-{number:06x}", created=when.isoformat(),
             seed=number)
    at = page("gallery")
    shown = [text.value for text in at.text if text.value.startswith("video number")]
    assert shown == [f"video number {number}" for number in range(25, 1, -1)]
    assert "26 videos" in said(at)
    at = page("gallery", g_page="2")
    assert [text.value for text in at.text if "number" in text.value] == ["video number 1", "video number 0"]


def test_search_and_filters_come_from_the_address_and_can_be_cleared(studio):
    keep(studio, "snow over a neon city", seed=1)
    keep(studio, "rain over a neon city", seed=2)
    at = page("gallery", g_q="neon -snow")
    assert "rain over a neon city" in said(at) and "snow over" not in said(at)
    press(at, "clear_g_q")
    assert "snow over a neon city" in said(at)
    at = page("gallery", g_seed="1")
    assert "1 video " in said(at) and "Seed: 1" in said(at)
    at = page("gallery", g_q="nothing like it")
    assert "No video matches." in said(at)
    press(at, "clear_nothing")
    assert "2 videos" in said(at)


def with_lora(name: str) -> Receipt:
    return replace(samples.video().receipt, loras=({"name": name, "sha256": "0" * 64, "weight": 1.0},))


@pytest.mark.parametrize(("key", "value", "found"), [
    ("g_frames", "8", 2), ("g_steps", "20", 1), ("g_guidance", "5", 2), ("g_from", "2026-03-01", 1),
    ("g_to", "2026-02-01", 1), ("g_favorite", "true", 1), ("g_seed", "no number", 0), ("g_page", "999", 2),
    ("g_page", "x", 2), ("g_sort", "Prompt", 2), ("g_frames", "x", 2), ("g_scheduler", "DDIM", 1),
    ("g_size", "32×32", 2), ("g_size", "1×1", 2), ("g_tags", "sea", 1), ("g_tags", "no such tag", 2),
    ("g_verdict", "Identical", 1), ("g_damaged", "true", 0), ("g_fps", "8", 2), ("g_owner", "ada", 1),
    ("g_lora", "film grain", 1), ("g_negative", "grain -blurry", 1), ("g_q", "negative:blurry", 1),
    ("g_mode", "Fast", 1), ("g_sort", "Mode, A to Z", 2),
])
def test_every_filter_works_from_the_address_and_nonsense_does_no_harm(studio, key, value, found):
    keep(studio, "first", id="20260101-000000-000001", created="2026-01-01T00:00:00+00:00", favorite=True)
    keep(studio, "second", id="20260401-000000-000002", created="2026-04-01T00:00:00+00:00",
         num_inference_steps=30, scheduler="ddim", mode="fast", tags=("sea", "dusk"), verdict=samples.IDENTICAL,
         owner="ada", negative_prompt="noise, grain", receipt=with_lora("film grain"))
    at = page("gallery", **{key: value})
    assert len([text for text in at.text if text.value in ("first", "second")]) == found


def test_each_tag_is_a_chip_of_its_own_and_all_are_cleared_together(studio):
    keep(studio, "both", tags=("sea", "dusk"))
    keep(studio, "only the sea", tags=("sea",))
    at = page("gallery", g_tags=["sea", "dusk"], g_favorite="false")
    chips = [button for button in at.button if button.label.startswith("Tag: ")]
    assert [chip.label for chip in chips] == ["Tag: sea", "Tag: dusk"]
    assert "1 video " in said(at) and "only the sea" not in said(at)
    at = healthy(chips[1].click().run())
    assert "2 videos" in said(at) and at.multiselect(key="g_tags").value == ["sea"]
    at.selectbox(key="g_size").set_value((32, 32))
    at = press(healthy(at.run()), "clear_all")
    assert at.multiselect(key="g_tags").value == [] and at.selectbox(key="g_size").value is None
    assert not [button for button in at.button if (button.key or "").startswith("clear_")]


def test_a_tag_that_is_asked_for_may_disappear(studio):
    video = keep(studio, "both", tags=("sea", "dusk"))
    at = page("gallery", g_tags=["dusk"])
    studio.change(video.id, tags=("sea",))
    at = healthy(at.run())
    assert "No video matches." in said(at) and "Tag: dusk" in said(at)


def test_how_many_were_found_is_said_also_when_it_is_none_and_when_a_video_is_open(studio):
    video = keep(studio, "a ball")
    keep(studio, "a square")
    assert "0 videos" in said(page("gallery", g_q="nothing like it"))
    at = page("gallery", g_q="ball", video=video.id)
    assert "1 video " in said(at) and "Search: ball" in said(at) and at.get("video")
    at = press(at, "clear_g_q")
    assert " of 2" in said(at) and "Search: ball" not in said(at) and at.get("video")


def test_a_search_gets_a_name_is_asked_again_renamed_and_deleted(studio):
    keep(studio, "sea by night", tags=("sea",), seed=7, id="20260401-000000-000002",
         created="2026-04-01T00:00:00+00:00")
    keep(studio, "sea by day", tags=("sea",))
    at = page("gallery")
    assert "give it a name" in said(at) and not at_button(at, "save_search")
    at = page("gallery", g_q='"by night"', g_tags=["sea"], g_seed="7", g_size="32×32", g_sort="Oldest first",
              g_to="2026-05-01")
    at.text_input(key="saved_name").set_value(HOSTILE[:60])
    at = press(at, "save_search")
    assert [saved.name for saved in studio.searches.all()] == [HOSTILE[:60].strip()]
    assert at.button(key="ask_0").disabled and "1 video " in said(at)
    at = press(page("gallery", g_q="day"), "ask_0")
    assert "1 video " in said(at) and at.text_input(key="g_q").value == '"by night"'
    chips = [button.label for button in at.button if (button.key or "").startswith("clear_g")]
    assert chips == ['Search: "by night"', "Seed: 7", "Size: 32×32", "Tag: sea", "To: 2026\\-05\\-01"]
    assert at.selectbox(key="g_sort").value == "oldest"
    at = press(at, "edit_0")
    at.text_input(key="rename_0").set_value("by night")
    at = press(at, "renamed_0")
    assert at.button(key="ask_0").label == "by night"
    at = press(at, "forget_0")
    assert studio.searches.all() == () and not at_button(at, "ask_0") and "1 video " in said(at)


def test_saved_searches_that_cannot_be_read_are_said_and_the_gallery_works(studio):
    keep(studio)
    (studio.settings.data_dir / "searches.json").write_text("{", encoding="utf-8")
    at = page("gallery")
    assert any("cannot be read" in warning.value for warning in at.warning) and "1 video " in said(at)


def test_a_value_that_is_asked_for_may_occur_no_more(studio):
    keep(studio)
    studio.searches.save("long ago", Query(num_frames=99, model="gone", scheduler="euler", lora="ink"))
    at = press(page("gallery"), "ask_0")
    assert "No video matches." in said(at) and "Model: gone" in said(at) and "Frames: 99" in said(at)


def test_damaged_only_shows_what_is_damaged_now(studio):
    gone, mute = keep(studio, "mp4 gone"), keep(studio, "sidecar gone")
    torn = keep(studio, "sidecar torn")
    keep(studio, "whole")
    assert "No video matches." in said(page("gallery", g_damaged="true"))
    studio.library.mp4_path(gone.id).unlink()
    studio.library.sidecar_path(mute.id).unlink()
    studio.library.sidecar_path(torn.id).write_text("{", encoding="utf-8")
    at = page("gallery", g_damaged="true")
    assert "3 videos" in said(at) and "whole" not in [text.value for text in at.text]
    assert len([badge for badge in at.markdown if "missing or damaged" in badge.value]) == 3


def test_the_table_shows_every_number_whole_and_a_press_on_a_picture_opens_its_video(studio):
    keep(studio, "older", id="20260101-000000-000001", created="2026-01-01T00:00:00+00:00", seed=2**63 - 1)
    newer = keep(studio, HOSTILE, id="20260401-000000-000002", created="2026-04-01T10:20:30+00:00", favorite=True,
                 tags=("sea", "dusk"), verdict=samples.IDENTICAL, owner="ada")
    gone = keep(studio, "gone", id="20260501-000000-000003", created="2026-05-01T00:00:00+00:00")
    studio.library.mp4_path(gone.id).unlink()
    at = page("gallery", g_view="Table")
    table = at.dataframe[0].value
    assert table["Seed"].tolist() == ["1234", "1234", "9223372036854775807"]
    row = table.iloc[1].to_dict()
    assert str(row.pop("Created")) == "2026-04-01 10:20:30+00:00"
    assert row == {"Poster": f"/app/static/poster/{newer.id}.webp", "★": "★", "Prompt": HOSTILE,
                   "Tags": "sea, dusk",
                   "Model": "Demo model", "Seed": "1234", "Frames": 8, "FPS": 8, "Steps": 20, "Guidance": 5.0,
                   "Scheduler": "DPM-Solver++ 2M", "Size": "32×32", "Verdict": "Identical", "Seconds": 1.5,
                   "Mode": "Exact", "Negative prompt": "blurry", "Owner": "ada"}, "no LoRA, so no such column"
    assert [str(poster).startswith("data:image/svg") for poster in table["Poster"]] == [True, False, False]
    assert table["Verdict"][0] == "Damaged"
    assert not [button for button in at.button if (button.key or "").startswith("open_")]
    for cell in ((1, "★"), (1, "Seed")):  # a number is to be copied
        at.session_state["table"] = {"selection": {"rows": [], "columns": [], "cells": [cell]}}
        assert not healthy(at.run()).get("video")
    at.session_state["table"] = {"selection": {"rows": [], "columns": [], "cells": [(1, "Poster")]}}
    at = healthy(at.run())
    assert at.get("video")[0].url.endswith(f"{newer.id}.mp4")
    assert page("gallery").dataframe.len == 0


def test_tags_and_favourite_of_an_opened_video_are_kept_in_its_sidecar(studio):
    keep(studio, "another", tags=("dusk",))
    video = keep(studio, tags=("sea",))
    at = page("gallery", video=video.id)
    field = at.multiselect(key=f"tags_{video.id}")
    assert field.value == ["sea"] and field.options == ["dusk", "sea"]
    at = healthy(field.set_value(["sea", "  a new   one ", "dusk"]).run())
    assert studio.video(video.id).tags == ("sea", "a new one", "dusk")
    field = at.multiselect(key=f"tags_{video.id}")
    assert field.value == ["sea", "a new one", "dusk"]
    at = healthy(field.set_value(["dusk"]).run())
    document = json.loads(studio.library.sidecar_path(video.id).read_text(encoding="utf-8"))
    assert document["tags"] == ["dusk"] and not document["favorite"]
    press(at, "favorite")
    assert studio.video(video.id).favorite
    press(page("gallery", video=video.id), "favorite")
    assert not studio.video(video.id).favorite


def test_an_impossible_tag_is_refused_with_a_sentence_and_changes_nothing(studio):
    video = keep(studio, tags=("sea",))
    at = page("gallery", video=video.id)
    at = healthy(at.multiselect(key=f"tags_{video.id}").set_value(["sea", "x" * 65]).run())
    assert "at most 64" in at.toast[0].value
    assert at.multiselect(key=f"tags_{video.id}").value == ["sea"] and studio.video(video.id).tags == ("sea",)


def test_tags_stand_on_the_card_as_far_as_there_is_room(studio):
    keep(studio, tags=("sea", "*dusk*", "a third one", "a fourth"))
    assert " :gray-badge[sea] :gray-badge[\\*dusk\\*] +2" in said(page("gallery"))


def test_a_card_regenerates_stars_and_opens_in_one_click(studio):
    video = keep(studio)
    at = press(page("gallery"), f"again_{video.id}")
    assert (studio.jobs()[0].task.relation, studio.jobs()[0].task.parent) == ("regenerate", video.id)
    at = press(at, f"star_{video.id}")
    assert studio.video(video.id).favorite
    at = press(at, f"open_{video.id}")
    assert at.get("video")[0].url.endswith(f"{video.id}.mp4")


def test_the_style_of_moving_posters_holds_ids_and_nothing_a_person_wrote(studio):
    video, gone = keep(studio, HOSTILE, tags=("</style><script>",)), keep(studio)
    studio.library.mp4_path(gone.id).unlink()
    sheets = [element.proto.body for element in page("gallery").get("html")]
    assert any(f"/app/static/animation/{video.id}.webp" in sheet for sheet in sheets)
    scripts = [sheet for sheet in sheets if "script" in sheet]
    assert scripts == [f"<script>{Path(keys.__file__).with_suffix('.js').read_text(encoding='utf-8')}</script>"]
    assert not any(gone.id in sheet or "bold" in sheet for sheet in sheets)


def test_an_opened_video_shows_its_whole_recipe(studio):
    video = keep(studio, "a red ball", seed=1234)
    at = page("gallery", video=video.id)
    table = at.table[0].value
    rows = {row[0]: row[1].replace("\\", "") for row in table.values.tolist()}
    assert rows["Seed"] == "1234" and rows["Frames"] == "8" and rows["Size"] == "32 × 32"
    assert rows["Scheduler"] == "DPM-Solver++ 2M" and rows["Id"] == video.id and rows["Model"] == "Demo model"
    assert at.code[0].value == "a red ball" and "Versions" not in rows
    for line in ("Prompt: a red ball", "Model: Demo model", "Versions: ", "torch 2.13.0", "Noise's SHA-256: "):
        assert line in at.code[1].value


@pytest.mark.parametrize(("verdict", "title", "sentence"), [
    (Verdict("identical"), "Identical", "Every pixel of all 8 frames is the same."),
    (Verdict("equivalent", 47.2, ("another version of torch (2.13 → 2.15)",)), "Equivalent",
     "Looks the same (PSNR 47 dB). Because: another version of torch (2.13 → 2.15)."),
    (Verdict("equivalent", 47.2, ("other CPU instructions (AVX2 (avx2 fma3) → AVX512 (avx2 fma3 avx512_f))",)),
     "Equivalent", "Looks the same (PSNR 47 dB). Because: other CPU instructions (AVX2 → AVX512)."),
    (Verdict("equivalent", 47.2, ("other CPU instructions (AVX2 (fma3) → AVX2 (fma3, ONEDNN_MAX_CPU_ISA=AVX2))",)),
     "Equivalent",
     "Looks the same (PSNR 47 dB). Because: other CPU instructions (none → ONEDNN_MAX_CPU_ISA=AVX2)."),
    (Verdict("equivalent", 47.2, ("other CPU instructions (AVX512 (avx2 fma3 amx_tile) → AVX512 (avx2 fma3))",)),
     "Equivalent", "Looks the same (PSNR 47 dB). Because: other CPU instructions (amx_tile → none)."),
    (Verdict("drifted", 21.4, ("another processor or GPU (RTX 4090 → H200)",)), "Drifted",
     "Different (PSNR 21 dB). Likely because: another processor or GPU (RTX 4090 → H200)."),
])
def test_a_verdict_is_said_in_words_on_the_child_and_on_its_parent(studio, verdict, title, sentence):
    parent = keep(studio)
    child = done(studio, parent=parent.id, verdict=verdict)
    for shown in (child.id, parent.id):
        at = page("gallery", video=shown)
        alerts = [*at.success, *at.info, *at.warning]
        assert sentence in [alert.value.replace("\\", "") for alert in alerts]
        assert title in [alert.proto.title for alert in alerts]
    assert "This video · Regenerated" in said(page("gallery", video=child.id))
    assert "Regenerated" in said(page("gallery", video=parent.id))


def test_pixels_are_not_promised_while_this_machine_is_unknown(studio):
    plain = samples.video("of this machine, as far as its versions tell")
    there = replace(plain, receipt=replace(plain.receipt, environment=replace(
        plain.receipt.environment, versions={})))
    video = samples.publish(studio, *samples.with_recipe(there))
    words = said(page("gallery", video=video.id))
    assert "not known yet whether this machine makes the same pixels" in words
    assert "This machine matches" not in words


def test_time_and_memory_are_said_before_generating_for_what_the_form_says(studio):
    demo = studio.settings.models_dir / "demo"
    for part in ("unet", "vae", "text_encoder"):
        (demo / part).mkdir(parents=True)
        shutil.copy(shell.Settings.from_env({}).models_dir / "demo" / part / "config.json", demo / part)
    (demo / "model_index.json").write_text("{}")
    at = page("generate")
    assert "0.6 GB; the time is known after the first video" in said(at)
    keep(studio)  # 8 frames of 32×32 took 1.25 s; the form asks for twice the frames of sixteen times the size
    at = page("generate")
    assert "about 30 s on this machine, 0.6 GB" in said(at)
    at.number_input(key="f_num_inference_steps").set_value(60)
    at.number_input(key="f_num_frames").set_value(32)
    assert "about 3 min on this machine" in said(healthy(at.run()))
    at.number_input(key="f_num_frames").set_value(99)
    assert "on this machine" not in said(healthy(at.run()))


def test_the_differences_are_shown_before_regenerating(studio):
    machine = Environment("cuda", "RTX 4090", "float16", "math", "resident", 0, {"torch": "2.5.0"})
    plain = samples.video("from elsewhere")
    there = replace(plain, receipt=replace(plain.receipt, environment=machine))
    video = samples.publish(studio, *samples.with_recipe(there))
    at = page("gallery", video=video.id)
    assert "another version of torch (2.5.0 → " in at.info[0].value.replace("\\", "")


def test_a_deleted_video_is_one_press_away_from_being_back(studio):
    video = keep(studio, tags=("kept",))
    at = press(page("gallery", video=video.id), "delete")
    assert "The video is in the trash." in said(at) and studio.search(Query()).total == 0
    at = press(at, "undo")
    assert studio.video(video.id) == video and not at_button(at, "undo") and at_button(at, f"open_{video.id}")
    at = press(press(page("gallery", video=video.id), "delete"), "done_read")
    assert not at_button(at, "undo") and studio.bulk_actions.trash().total == 1
    at = page("gallery", video=video.id)
    assert "is in the trash" in at.error[0].value
    assert press(at, "restore_here").get("video") and studio.video(video.id) == video


def test_deleting_a_video_that_is_in_the_trash_already_looks_like_deleting_it_now(studio):
    older, video = keep(studio, "older"), keep(studio, "newer")
    at = page("gallery", video=video.id)
    studio.delete(video.id)
    at = press(at, "delete")
    assert "The video is in the trash." in said(at) and at_button(at, "undo") and not at.toast
    assert at.get("video")[0].url.endswith(f"{older.id}.mp4")


def test_where_no_trash_is_kept_delete_asks_once(no_trash):
    studio, video = no_trash, keep(no_trash)
    at = page("gallery", video=video.id)
    assert not at_button(at, "delete_for_good")
    at = press(at, "delete")
    assert "This cannot be undone." in said(at)
    at = press(at, "keep")
    assert not at_button(at, "delete_for_good") and studio.video(video.id)
    at = press(press(at, "delete"), "back")
    assert not at_button(press(at, f"open_{video.id}"), "delete_for_good")
    at = press(press(at, "delete"), "delete_for_good")
    assert "No videos yet" in said(at)
    with pytest.raises(NotFound):
        studio.video(video.id)


def three_in_a_row(studio: Studio) -> list[str]:
    """Ids, newest first, of the three videos that "ball" finds, with another one between them."""
    for number, prompt in enumerate(("first ball", "second ball", "a square", "third ball"), start=1):
        keep(studio, prompt, id=f"20260101-00000{number}-00000{number}",
             created=f"2026-01-01T00:00:0{number}+00:00")
    return [f"20260101-00000{number}-00000{number}" for number in (4, 2, 1)]


def test_the_neighbours_in_the_search_are_one_press_away(studio):
    newest, middle, oldest = three_in_a_row(studio)
    at = page("gallery", g_q="ball", video=newest)
    assert "1 of 3" in said(at) and at.button(key="previous").disabled
    at = press(at, "next")
    assert at.get("video")[0].url.endswith(f"{middle}.mp4") and "2 of 3" in said(at)
    at = press(press(at, "next"), "previous")
    assert at.get("video")[0].url.endswith(f"{middle}.mp4")
    at = page("gallery", g_q="ball", g_sort="Oldest first", video=oldest)
    assert "1 of 3" in said(at) and not at.button(key="next").disabled
    assert not at_button(page("gallery", g_q="square", video=newest), "next")


def test_after_a_deletion_the_neighbour_is_opened_and_undo_opens_the_video_again(studio):
    newest, middle, oldest = three_in_a_row(studio)
    at = press(page("gallery", g_q="ball", video=middle), "delete")
    assert at.get("video")[0].url.endswith(f"{oldest}.mp4") and "2 of 2" in said(at)
    at = press(at, "undo")
    assert at.get("video")[0].url.endswith(f"{middle}.mp4") and "2 of 3" in said(at)


def test_after_a_deletion_for_good_the_neighbour_is_opened_and_not_asked_about(no_trash):
    newest, middle, oldest = three_in_a_row(no_trash)
    at = press(press(page("gallery", g_q="ball", video=middle), "delete"), "delete_for_good")
    assert at.get("video")[0].url.endswith(f"{oldest}.mp4") and "2 of 2" in said(at)
    assert not at_button(at, "delete_for_good")
    at = press(press(at, "delete"), "delete_for_good")
    assert at.get("video")[0].url.endswith(f"{newest}.mp4") and "1 of 1" in said(at)


def test_the_keyboard_works_on_an_opened_video(no_trash):
    video = keep(no_trash)
    at = press(page("gallery", video=video.id), "delete")
    keys = {button.key: button.proto.shortcut for button in at.button if button.proto.shortcut}
    assert keys == {"previous": "left", "next": "right", "favorite": "f", "delete": "delete", "keep": "escape"}
    assert "regenerate" in said(at)  # R and space are in pages/parts/keys.py; the browser test strikes them
    assert [button.key for button in page().button if button.proto.shortcut] == ["generate"]


def test_remix_opens_the_form_filled(studio):
    video = keep(studio, "a blue square")
    at = press(page("gallery", video=video.id), "remix_opened")
    assert at.text_area(key="f_prompt").value == "a blue square"


@pytest.mark.parametrize("asked", ["20200101-000000-abcdef", "../../etc/passwd", "x", "<img src=x>"])
def test_a_video_that_is_not_there_is_a_sentence(studio, asked):
    at = page("gallery", video=asked)
    assert at.error[0].value and not at.get("video")
    assert at_button(at, "back")


def test_missing_and_damaged_files_are_shown_as_such_and_can_be_deleted(studio):
    gone, mute = keep(studio, "mp4 gone"), keep(studio, "sidecar gone")
    studio.library.mp4_path(gone.id).unlink()
    studio.library.sidecar_path(mute.id).unlink()
    at = page("gallery")
    assert [badge.value for badge in at.markdown if "missing or damaged" in badge.value]
    at = page("gallery", video=gone.id)
    assert "missing" in at.error[0].value
    press(press(at, "delete"), "delete_for_good")
    assert "mp4 gone" not in said(page("gallery"))


# Queue

def test_an_empty_queue_says_what_to_do(studio):
    at = page("queue")
    assert "Nothing is waiting." in said(at)
    assert [link.label for link in at.get("page_link")] == ["Generate a video"]


def test_the_queue_shows_what_runs_waits_and_ended(studio):
    video = done(studio, "was made")
    failed = run(studio, studio.submit(VideoRequest("went wrong")))
    studio.ledger.move(failed.id, failed.attempt, ("running",), "failed", "A sentence of its own.", "ClipError")
    running = run(studio, studio.submit(VideoRequest("is being made")), Progress("denoising", 5, 20))
    waiting = studio.submit(VideoRequest("will be made"))
    at = page("queue")
    everything = said(at)
    for part in ("Running", "Waiting", "Ended", "was made", "went wrong", "is being made", "will be made",
                 "Next in line", "A sentence of its own\\."):
        assert part in everything
    assert at.get("progress")[0].text.startswith("Step 5 of 20")
    press(at, f"cancel_{waiting.id}")
    assert studio.job(waiting.id).state == "cancelled"
    press(at, f"cancel_{running.id}")
    assert studio.job(running.id).cancel_requested
    at = press(at, f"open_job_{video.id}")
    assert at.get("video")


# Every screen

@pytest.mark.parametrize("name", ["", "gallery", "queue"])
def test_user_text_is_shown_as_text_never_as_markdown_or_html(studio, name):
    video = done(studio, HOSTILE)
    failed = run(studio, studio.submit(VideoRequest(HOSTILE)))
    studio.ledger.move(failed.id, failed.attempt, ("running",), "failed", HOSTILE, "ClipError")
    studio.submit(VideoRequest(HOSTILE))
    for at in (page(name), page("gallery", video=video.id), page("gallery", g_q=HOSTILE)):
        assert any("**bold**" in text.value for text in [*at.text, *at.code]) or at.query_params.get("g_q")
        as_markdown = [*at.markdown, *at.caption, *at.error, *at.warning, *at.info, *at.success, *at.subheader]
        labels = [element.value for element in as_markdown] + [button.label for button in at.button]
        cells = [str(cell) for table in at.table for row in table.value.values.tolist() for cell in row]
        for text in labels + cells:
            marks = re.sub(r"\\.", "", text)  # marks behind a backslash are gone
            assert not any(mark in marks for mark in ("**bold", "![", "<img", ":red[no", "$")), text


def test_a_cold_deep_link_to_a_page_works_without_the_entry_script(studio):
    video = keep(studio)
    at = AppTest.from_file(ENTRY, default_timeout=20)
    at.query_params["video"] = video.id
    healthy(at.switch_page("pages/gallery.py").run())
    assert at.get("video")[0].url.endswith(f"{video.id}.mp4")


def test_the_pages_folder_is_not_discovered_once_the_app_serves(monkeypatch):
    monkeypatch.setattr(PagesManager, "uses_pages_directory", None)
    turn_off_page_discovery()
    assert PagesManager.uses_pages_directory is False
    assert PagesManager(ENTRY).uses_pages_directory is False


def test_the_screens_do_not_import_the_model(studio):
    before = {name for name in sys.modules if name.split(".")[0] in ("torch", "diffusers", "transformers")}
    for name in ("", "gallery", "queue"):
        page(name)
    assert {name for name in sys.modules if name.split(".")[0] in ("torch", "diffusers", "transformers")} == before


def test_a_setting_that_cannot_be_is_a_sentence_on_every_page(studio, monkeypatch):
    shell.current_studio.clear()
    monkeypatch.setenv("T2V_MAX_QUEUED", "many")
    at = page()
    assert "T2V_MAX_QUEUED" in at.error[0].value.replace("\\", "")


# Words

@pytest.mark.parametrize(("value", "text"), [(0.4, "0 s"), (8.2, "8 s"), (59.6, "1 min"), (125, "2 min 5 s"),
                                             (3600, "1 h 0 min"), (3840, "1 h 4 min"), (-5, "0 s")])
def test_a_duration_reads_well(value, text):
    assert words.seconds(value) == text


@pytest.mark.parametrize(("passed", "text"), [(5, "just now"), (300, "5 min ago"), (7200, "2 h ago"),
                                              (86400 * 3, "3 days ago"), (86400 * 30, "2026-01-01")])
def test_an_age_reads_well(passed, text):
    then = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert words.age(then.isoformat(), then + timedelta(seconds=passed)) == text


def test_a_long_prompt_is_cut_between_words():
    assert words.shorten("a red ball bouncing on a white background", 20) == "a red ball bouncing…"
    assert words.shorten("short", 20) == "short" and len(words.shorten("x" * 100, 20)) == 20


def test_bytes_read_well():
    assert [words.size(n) for n in (12, 812_000, 3_670_000_000)] == ["12 bytes", "812 kB", "3.7 GB"]


def test_a_remark_about_a_finished_video_is_shown_with_it(studio: Studio):
    job = studio.submit(VideoRequest("a red ball"))
    run(studio, job)
    samples.publish(studio, *samples.with_recipe(samples.video("a red ball", id=job.id)))
    remark = "The prompt has 91 tokens; the model reads the first 77."
    assert studio.ledger.move(job.id, 1, ("running",), "done", remark)
    assert words.plain(remark) in said(page())
    assert words.plain(remark) in said(page("queue"))


def test_settings_that_a_remix_cannot_take_over_are_named(studio: Studio):
    strange = keep(studio, "from another studio", model="vanished", scheduler="heun")
    told = said(page("generate", **{"from": strange.id}))
    assert "Its model vanished is not offered here" in told and "Its scheduler heun is not offered here" in told


def test_where_no_test_has_shown_that_frames_repeat_a_mode_is_called_equivalent(studio, monkeypatch):
    monkeypatch.setenv("T2V_DEVICE", "cuda")
    shell.current_studio.clear()
    assert page("generate").selectbox(key="f_mode").options == [
        "Exact · equivalent each time", "Fast · equivalent each time", "Reference · equivalent each time"]


def test_a_mode_says_what_it_gives_up_before_it_is_chosen_and_goes_into_the_request(studio):
    form = page("generate")
    assert form.selectbox(key="f_mode").options == [
        "Exact · identical each time", "Fast · identical each time", "Reference · identical each time"]
    assert MODES["exact"].help.rstrip(".") in said(form).replace("\\", "")
    form = form.selectbox(key="f_mode").set_value("fast").run()
    assert "details may differ" in said(form)
    form.button(key="generate").click().run()
    assert [job.task.recipe.mode for job in studio.jobs()] == ["fast"]
