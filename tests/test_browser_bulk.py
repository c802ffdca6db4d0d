"""Many videos at once in a real Chromium, on ten thousand entries: chosen, tagged, downloaded, deleted, undone."""

import hashlib
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

browser = pytest.importorskip("browser", reason="playwright is not installed")

from browser import CHROMIUM, FLAGS, PATIENCE_MS, Screen, served  # noqa: E402
from playwright.sync_api import expect, sync_playwright  # noqa: E402

from scripts.bench_parts.synthetic import fill, shared_clip, synthetic  # noqa: E402

pytestmark = [pytest.mark.browser,
              pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: browser tests are skipped")]
COUNT = 10_000
RESULT = shared_clip()[1]


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Screen]:
    data = tmp_path_factory.mktemp("many") / "data"
    data.mkdir()
    fill(data, COUNT)
    with served(data, models_dir, PRELOAD=0) as server, sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = opened.new_page(viewport={"width": 1280, "height": 900})
        yield Screen(page, server.url)
        opened.close()


def selected(screen: Screen, count: int) -> None:
    expect(screen.at("selection").get_by_text(f"{count} selected")).to_be_visible(timeout=PATIENCE_MS)


def test_videos_of_two_pages_are_tagged_downloaded_deleted_and_brought_back(screen, tmp_path):
    screen.go("/gallery").sees(f"{COUNT:,} videos")
    expect(screen.page.locator('[class*="st-key-pick_2"]')).to_have_count(0)
    screen.press("pick")
    selected(screen, 0)
    boxes = screen.page.locator('[class*="st-key-pick_2"] label')
    boxes.nth(0).click()
    selected(screen, 1)
    screen.page.locator('[class*="st-key-open_"] button').nth(1).click()  # a press on the poster chooses, too
    selected(screen, 2)
    screen.at("g_page_shown").get_by_text("2", exact=True).click()
    screen.page.wait_for_url(re.compile("g_page=2"))
    boxes.nth(0).click()
    selected(screen, 3)

    screen.at("bulk_tags").get_by_role("button").first.click()
    field = screen.at("bulk_add").locator("input")
    field.click()
    field.press_sequentially("of two pages")
    screen.strike("Enter")
    expect(screen.at("bulk_add").get_by_text("of two pages", exact=True).first).to_be_visible()
    screen.press("bulk_tag").sees("The tags of 3 videos are changed.")

    address = screen.page.get_by_role("link", name="Download ZIP").first.get_attribute("href")
    with screen.page.expect_download() as waiting:
        screen.page.evaluate("where => {const a = document.createElement('a'); a.href = where; a.click()}",
                             address)
    waiting.value.save_as(tmp_path / "many.zip")
    assert re.fullmatch(r"3-videos-\d{8}-\d{6}\.zip", waiting.value.suggested_filename)
    with zipfile.ZipFile(tmp_path / "many.zip") as opened:
        assert opened.testzip() is None and len(opened.namelist()) == 6
        for name in opened.namelist():
            assert re.fullmatch(r"[a-z0-9-]+\.(mp4|json)", name)
            if name.endswith(".json"):
                document = json.loads(opened.read(name))
                mp4 = opened.read(name.replace(".json", ".mp4"))
                assert hashlib.sha256(mp4).hexdigest() == document["result"]["mp4_sha256"]
                assert "of two pages" in document["tags"]

    screen.press("bulk_delete").sees("3 videos are in the trash.").sees(f"{COUNT - 3:,} videos")
    screen.press("undo").sees("3 videos are back in the library.").sees(f"{COUNT:,} videos")
    screen.go("/gallery?g_tags=of+two+pages")
    expect(screen.page.locator('[class*="st-key-card_"]')).to_have_count(3, timeout=PATIENCE_MS)


def test_all_that_was_found_is_deleted_at_once_and_the_trash_gives_one_back(screen):
    found = sum("tall ship crossing" in synthetic(number, RESULT).title for number in range(COUNT))
    assert found > 48, "more than two pages"
    screen.go('/gallery?g_q="tall+ship+crossing"').sees(f"{found} videos").press("pick").press("pick_all")
    selected(screen, found)
    screen.press("bulk_delete").sees(re.compile(rf"{found} videos are in the trash\.|Deleting: "))
    screen.sees(f"{found} videos are in the trash.")
    screen.go("/trash").sees(f"{found} videos").sees("Free")
    screen.page.locator('[class*="st-key-restore_"] button').first.click()
    screen.sees(f"{found - 1} videos")
    screen.go('/gallery?g_q="tall+ship+crossing"').sees("1 video ·")
