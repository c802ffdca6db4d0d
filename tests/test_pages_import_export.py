"""In and out on the screens: files that are dropped, and a video without a recipe wherever it is shown."""

from pathlib import Path

import pytest
import samples
from samples import foreign
from screens import healthy, keep, page, press, said


def dropped(at, *files: tuple[str, bytes]):
    """Open the dialog and drop files into it."""
    press(at, next(button.key for button in at.button if button.key.startswith("transfer")))
    wanted = [(name, data, "video/mp4") for name, data in files]
    return healthy(at.file_uploader(key="dropped").set_value(wanted).run())


def test_dropped_files_are_taken_in_or_refused_each_with_its_reason(studio, tmp_path):
    made, data = samples.with_recipe(samples.video("a red ball on a train"))
    other = foreign(tmp_path / "x.mp4").read_bytes()
    at = dropped(page("gallery"), ("ours.mp4", data), ("Holiday *1*.mp4", other), ("notes.mp4", b"text"))
    text = said(at)
    assert "Added: a red ball on a train" in text
    assert "was not made by this studio" in text and "no video the studio can read" in text
    keeps = [button.key for button in at.button if button.key.startswith("keep_")]
    assert len(keeps) == 1  # only the one that is a video
    press(at, keeps[0])
    assert r"Added: Holiday \*1\*\.mp4" in said(at)
    videos = samples.found(studio)
    assert [each.recipe is None for each in videos] == [True, False] and videos[1] == made
    at = dropped(page("gallery"), ("again.mp4", data))
    assert "Already here" in said(at)


def test_a_video_without_a_recipe_is_shown_as_such_and_cannot_be_made_again(studio, tmp_path):
    kept = studio.transfer.import_bytes(foreign(tmp_path / "x.mp4").read_bytes(), "Sea.mp4", unknown=True).video
    at = page("gallery")
    assert at.button(key=f"again_{kept.id}").disabled
    assert "From outside, no recipe" in said(at) and "None" not in said(at)
    at = page("gallery", video=kept.id)
    text = "\n".join([said(at), *(info.value for info in at.info)])
    assert "its settings are unknown" in text and "None" not in text
    keys = {button.key for button in at.button}
    assert not {"regenerate_opened", "remix_opened"} & keys and {"delete", "favorite"} <= keys
    assert {"GIF", "Download MP4"} <= {link.value for link in at.link_button}
    assert "shows" not in text
    at = page("gallery", g_view="Table")
    assert at.dataframe[0].value["Verdict"].tolist() == ["No recipe"] and at.dataframe[0].value["Seed"][0] == ""
    at = page("generate", **{"from": kept.id})
    assert "Sea\\.mp4 came from outside and has no recipe" in at.error[0].value


def test_the_limit_is_said_before_anything_is_dropped(studio):
    at = page("gallery")
    press(at, "transfer_nothing")
    assert "at most 100 MB" in said(at)


@pytest.mark.parametrize("name", ["![x](http://evil.example/x.png).mp4", ":red[no] $x^2$.mp4"])
def test_the_name_of_a_file_is_shown_as_text(studio, tmp_path: Path, name: str):
    data = foreign(tmp_path / "x.mp4").read_bytes()
    at = dropped(page("gallery"), (name, data))
    assert "![" not in said(at).replace("\\![", "").replace("!\\[", "") or name in [text.value for text in at.text]
    kept = studio.transfer.import_bytes(data, name, unknown=True).video
    page("gallery", video=kept.id)
    keep(studio, "another")
    page("gallery")


def test_a_library_is_exported_and_imported_in_sight(studio, tmp_path):
    made = keep(studio, "a red ball", tags=("toy",))
    keep(studio, "snow", seed=9)
    folder = tmp_path / "out"
    at = press(page("gallery", g_q="red"), "transfer")
    assert "Export the one video that the filters let through" in said(at)
    healthy(at.text_input(key="export_folder").set_value(str(folder)).run())
    press(at, "export")
    assert at.success[0].value == "1 copied." and (folder / "manifest.json").is_file()
    studio.delete(made.id)
    at = press(page("gallery"), "transfer")
    assert "Export the one video of this library" in said(at)
    healthy(at.text_input(key="import_folder").set_value(str(folder)).run())
    press(at, "import")
    assert at.success[0].value == "1 added." and studio.video(made.id) == made
    healthy(at.text_input(key="import_folder").set_value("out").run())
    press(at, "import")
    assert "not an absolute path" in at.error[0].value
    (folder / "stray.mp4").write_bytes(b"text")
    healthy(at.text_input(key="import_folder").set_value(str(folder)).run())
    press(at, "import")
    assert at.warning[-1].value == "1 already here, 1 refused." and "stray" in said(at)
