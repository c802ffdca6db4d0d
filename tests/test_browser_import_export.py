"""In and out of a library of ten thousand, in a real Chromium: MP4s are dropped; GIF, WebM and PNG come out."""

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
import samples
from PIL import Image
from samples import foreign

from core.library.library import Library

browser = pytest.importorskip("browser", reason="playwright is not installed")

from browser import CHROMIUM, FLAGS, PATIENCE_MS, Screen, Server, served  # noqa: E402
from playwright.sync_api import expect, sync_playwright  # noqa: E402

from scripts.bench_parts.synthetic import fill  # noqa: E402

pytestmark = [pytest.mark.browser,
              pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: browser tests are skipped")]
FILES = 'input[type="file"]'


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser") / "data"
    fill(folder, 10_000)
    return folder


@pytest.fixture(scope="module")
def server(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A studio that shows and stores videos, and makes none."""
    with served(data_dir, tmp_path_factory.mktemp("models"), model="demo", DISPATCH=0) as running:
        yield running


@pytest.fixture
def screen(server: Server) -> Iterator[Screen]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = opened.new_page(viewport={"width": 1280, "height": 900})
        yield Screen(page, server.url)
        opened.close()


def dropped(screen: Screen, *files: tuple[str, bytes]) -> None:
    """Let files fall onto the place for them, as from a folder of the desktop."""
    given = [{"name": name, "mimeType": "video/mp4", "buffer": data} for name, data in files]
    screen.page.locator(FILES).first.set_input_files(given)


def test_ours_and_when_wanted_a_foreign_one_come_in_and_both_come_out_in_other_forms(screen, data_dir, tmp_path):
    made, data = samples.with_recipe(samples.video("a red ball on a train"), samples.moving(8, 64, 64))
    other = foreign(tmp_path / "x.mp4", frames=samples.moving(8, 64, 96)).read_bytes()
    screen.go("/gallery").press("transfer").sees("at most 100 MB")
    dropped(screen, ("ours.mp4", data), ("sea.mp4", other), ("notes.mp4", b"text"))
    screen.sees("Added: a red ball on a train").sees(re.compile("sea.mp4 was not made by this studio"))
    screen.sees(re.compile("no video the studio can read"))
    expect(screen.page.get_by_role("button", name="Keep without recipe")).to_have_count(1)
    screen.page.get_by_role("button", name="Keep without recipe").click()
    screen.sees("Added: sea.mp4")
    reader = Library(data_dir, writable=False)
    alien, ours = samples.found(reader)[:2]
    reader.close()
    assert ours == made and alien.recipe is None
    for kept, shape in ((made, (64, 64)), (alien, (64, 96))):
        screen.go("/gallery").press(f"open_{kept.id}")
        screen.page.wait_for_url(re.compile(f"video={kept.id}"))
        assert screen.playing()["error"] is None
        assert screen.at("regenerate_opened").count() == (kept.recipe is not None)
        screen.press("download_as_opened")
        check_forms({title: downloaded(screen, title) for title in ("GIF", "WebM", "Frames as PNG")}, shape)


def downloaded(screen: Screen, title: str) -> bytes:
    link = screen.page.get_by_role("link", name=title, exact=True)
    expect(link).to_be_visible(timeout=PATIENCE_MS)
    server = re.match(r"https?://[^/]+", screen.page.url).group()
    answer = screen.page.request.get(server + link.get_attribute("href"))
    assert answer.ok and "attachment" in answer.headers["content-disposition"]
    return answer.body()


def check_forms(forms: dict[str, bytes], shape: tuple[int, int]) -> None:
    """Check them with other programs: eight frames of that height and width each."""
    height, width = shape
    with Image.open(io.BytesIO(forms["GIF"])) as image:
        assert (image.format, image.size, image.n_frames) == ("GIF", (width, height), 8)
    with av.open(io.BytesIO(forms["WebM"]), format="matroska") as container:
        frames = list(container.decode(video=0))
        assert container.streams.video[0].codec_context.name == "vp9" and len(frames) == 8
        assert (frames[0].width, frames[0].height) == (width, height)
    with zipfile.ZipFile(io.BytesIO(forms["Frames as PNG"])) as archive:
        pictures = [name for name in archive.namelist() if name.endswith(".png")]
        assert len(pictures) == 8 and archive.testzip() is None
        with Image.open(archive.open(pictures[0])) as picture:
            assert picture.size == (width, height)


def test_a_library_goes_out_into_a_folder_and_comes_back(screen, tmp_path):
    screen.go("/gallery?g_from=2026-01-01").sees("2 videos").press("transfer")
    screen.page.get_by_role("tab", name="Whole libraries").click()
    screen.write("export_folder", str(tmp_path / "out")).press("export").sees("2 copied.")
    assert len(list((tmp_path / "out").rglob("*.mp4"))) == 2
    screen.write("import_folder", str(tmp_path / "out")).press("import").sees("2 already here.")
