"""Damaged, missing and newer videos are shown as such, once, with the possible actions."""

import json

import pytest
import samples
from screens import healthy, keep, page, press, said
from streamlit.testing.v1 import AppTest

from core.domain.request import VideoRequest
from core.errors import NewerLibrary
from core.library.library import Library
from core.library.search.index import FORMAT
from core.settings import Settings
from core.studio import open_studio
from pages.parts import shell


def off(at: AppTest) -> set[str]:
    """The keys of the buttons that cannot be pressed."""
    return {button.key for button in at.button if button.disabled}


def test_a_newer_library_has_one_banner_and_can_only_be_looked_at(studio):
    kept = keep(studio, "a red ball")
    path = studio.settings.data_dir / "index.json"
    path.write_bytes(path.read_bytes().replace(b'"format":%d' % FORMAT, b'"format":99'))
    shell.current_studio.clear()
    for name in ("gallery", "generate", "queue"):
        at = page(name)
        assert [error.value for error in at.error if "A newer studio wrote this library" in error.value]
        assert len(at.error) + len(at.warning) == 1
    at = page("gallery")
    assert "a red ball" in said(at) and {f"star_{kept.id}", f"again_{kept.id}"} <= off(at)
    assert {"generate", "audition"} <= off(page())
    at = page("gallery", video=kept.id)
    assert {"delete", "favorite", "regenerate_opened"} <= off(at)
    assert at.get("video") and at.multiselect(key=f"tags_{kept.id}").disabled
    at = press(press(page("gallery"), "pick"), "pick_page")
    assert "bulk_delete" in off(at) and "picked_done" not in off(at)
    assert [link.label for link in at.get("link_button")] == ["Download ZIP"], "what only reads stays possible"
    before = path.read_bytes()
    with open_studio(Settings.from_env(), "run") as other:
        assert not other.leads and not other.ready()["ready"]
        with pytest.raises(NewerLibrary):
            other.submit(VideoRequest("a red ball"))
        with pytest.raises(NewerLibrary):
            other.reindex()
    assert path.read_bytes() == before
    path.unlink()
    library = Library(path.parent, writable=True)
    assert library.get(kept.id) == kept
    library.close()


def shown_as_damaged(studio, video_id: str) -> bool:
    """On its card, and by the filter that asks the disk."""
    assert "missing or damaged" in said(page("gallery"))
    return f"open_{video_id}" in {button.key for button in page("gallery", g_damaged="true").button}


@pytest.mark.parametrize("damage", ["gone", "cut short", "exchanged"])
def test_a_damaged_mp4_is_shown_as_such_and_a_good_copy_brings_it_back_with_its_tags(studio, damage):
    kept = keep(studio, "a red ball", tags=("mine",))
    path = studio.library.mp4_path(kept.id)
    good = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(good[:500] if damage == "cut short" else samples.mp4(8, 128, 128)[0])
    assert shown_as_damaged(studio, kept.id)
    at = page("gallery", video=kept.id)
    assert "Import a copy" in at.error[0].value and not at.get("video") and "a red ball" in said(at)
    assert {"delete", "mend"} <= {button.key for button in at.button}
    if damage != "gone":
        assert any("its sidecar says" in caption.value for caption in at.caption)  # every byte was looked at
        other, data = samples.with_recipe(samples.video("another", seed=5))
        healthy(at.file_uploader(key=f"copy_{kept.id}").set_value([("other.mp4", data, "video/mp4")]).run())
        assert "is another video" in at.warning[-1].value and studio.video(other.id) == other
    healthy(at.file_uploader(key=f"copy_{kept.id}").set_value([("good.mp4", good, "video/mp4")]).run())
    assert at.get("video") and not at.error
    assert studio.video(kept.id) == kept and studio.verify() == []


def test_a_missing_sidecar_is_made_again_from_the_page(studio):
    kept = keep(studio, "a red ball")
    studio.library.sidecar_path(kept.id).unlink()
    at = page("gallery", video=kept.id)
    assert "sidecar" in at.error[0].value
    press(at, "mend")
    assert not at.error and studio.video(kept.id) == kept


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": 1, "id": "20260101-000000-000001"}', "\udcff"])
def test_a_damaged_sidecar_is_said_for_a_person_and_made_again_from_the_mp4_with_its_tags(
        studio, content):
    kept = keep(studio, "a red ball", tags=("mine",), favorite=True)
    path = studio.library.sidecar_path(kept.id)
    path.write_bytes(content.encode(errors="surrogateescape"))
    at = page("gallery", video=kept.id)
    told = said(at).replace("\\", "")
    assert f"{path.name} is damaged" in at.error[0].value.replace("\\", "") and "inside its MP4" in told
    assert not [word for word in ("char ", "column", "'id'", "__init__", "unexpected") if word in told], told
    at = press(at, "renew")
    assert at.get("video") and not at.error and studio.video(kept.id) == kept and studio.verify() == []


def test_settings_that_are_not_in_the_mp4_are_not_made_up(studio):
    mute = samples.publish(studio, samples.video("a red ball"), samples.mp4()[0])
    other = keep(studio, "another", seed=5)
    for video in (mute, other):
        studio.library.sidecar_path(video.id).write_text("{")
    at = press(page("gallery", video=mute.id), "renew")
    assert "was not made by this studio" in at.error[-1].value and not at.get("video")
    exchanged = samples.with_recipe(samples.video("a third", seed=7))
    studio.library.mp4_path(other.id).write_bytes(exchanged[1])
    at = press(page("gallery", video=other.id), "renew")
    assert "is another video" in at.warning[-1].value and studio.video(exchanged[0].id).recipe.seed == 7


def test_repairs_at_opening_are_one_line_until_it_is_unfolded_and_gone_once_they_were_read(studio):
    assert not page("gallery").expander
    data = studio.settings.data_dir
    shell.current_studio.clear()
    for path in data.glob("jobs.sqlite*"):
        path.write_bytes(b"no queue at all" * 500)
    at = page("gallery")
    (notes,) = at.expander
    assert notes.label == "1 note from opening the library" and not notes.proto.expanded
    assert "queue" in notes.text[0].value
    assert not press(at, "understood").expander


def test_a_video_of_a_newer_studio_plays_and_is_downloaded_and_nothing_else(studio):
    kept = keep(studio, "a red ball", tags=("sea",))
    path = studio.library.sidecar_path(kept.id)
    path.write_bytes(json.dumps({**kept.document(), "schema": 2}).encode())
    at = page("gallery")
    assert "Made by a newer studio" in said(at) and f"star_{kept.id}" in off(at)
    at = page("gallery", video=kept.id)
    assert at.get("video") and not at.error and "A newer studio made it." in at.info[0].value
    assert [link.label for link in at.get("link_button")] == ["Download MP4", "JSON"]
    assert "delete" in off(at) and "regenerate_opened" not in {button.key for button in at.button}
    assert "a red ball" in said(at) and "sea" in said(at)
    shell.current_studio.clear()
    keep(shell.current_studio(), "another")
    table = page("gallery", g_view="Table").dataframe[0]
    assert sorted(table.value["Steps"].isna()) == sorted(table.value["Guidance"].isna()) == [False, True]
    assert table.proto.HasField("placeholder") and table.proto.placeholder == "", "an empty cell, not None"
