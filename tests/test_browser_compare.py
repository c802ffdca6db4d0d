"""Comparing and walking the tree in a real Chromium, in a library of ten thousand videos."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("browser", reason="playwright is not installed")

from browser import CHROMIUM, PATIENCE_MS, Screen, Server, served
from playwright.sync_api import expect

from core.library.library import Library
from core.library.media import clip
from scripts.bench_parts.synthetic import fill, moving_square, synthetic

pytestmark = [pytest.mark.browser,
              pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: browser tests are skipped")]
NEARLY = ("20260101-000000-00000a", "20260101-000000-00000b")  # two that hardly differ
PIXELS = """() => [...document.querySelectorAll('*')].flatMap(e => e.shadowRoot
  ? [...e.shadowRoot.querySelectorAll('canvas')] : [])
  .map(c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data])"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("browser") / "data"
    fill(data, 10_000)
    library = Library(data, writable=True)
    for number, video_id in enumerate(NEARLY):
        frames = moving_square()
        frames[8:, 50:54, 50:54, 1] += 3 * number
        mp4, result = clip.encode_bytes(frames, 8, "{}")
        library.publish(replace(synthetic(0, result), id=video_id), mp4)
    library.close()
    with served(data, models_dir) as running:
        yield running


def at_frame(opened: Screen, number: int) -> None:
    expect(opened.page.locator(".scrubbing")).to_have_attribute("data-frame", str(number), timeout=PATIENCE_MS)
    opened.page.wait_for_function("() => [...document.querySelectorAll('*')].some(e => e.shadowRoot && "
                                  "[...e.shadowRoot.querySelectorAll('video')].some(v => !v.seeking))")


def pictures(opened: Screen) -> list[list[int]]:
    return opened.page.evaluate(PIXELS)


def apart(a: list[int], b: list[int]) -> float:
    return sum(abs(x - y) for x, y in zip(a, b, strict=True)) / len(a)


def test_a_regeneration_is_compared_with_its_parent_scrubbed_and_the_tree_walked(screen, made):
    screen.go(f"/gallery?video={made}").press("regenerate_opened")  # and the comparison opens
    screen.page.wait_for_url(re.compile(f"compare={made}"))
    screen.sees("no pixel of the 16 frames differs").sees("Frame 1 of 16")
    child = re.search(r"compare=[^,%]+(?:,|%2C)([0-9a-f-]+)", screen.page.url).group(1)
    scrubber = screen.page.locator("input.range")
    at_frame(screen, 1)
    screen.page.wait_for_function(f"() => ({PIXELS})()[0].some(value => value > 30 && value < 255)")
    first = pictures(screen)
    assert len(first) == 3 and max(v for n, v in enumerate(first[2]) if n % 4 < 3) < 40, "no difference"
    assert apart(first[0], first[1]) < 6, "one picture twice"
    scrubber.fill("11")
    at_frame(screen, 12)
    screen.page.wait_for_function(f"before => ({PIXELS})()[0].some((v, n) => v !== before[n])", arg=first[0])
    later = pictures(screen)
    assert apart(later[0], later[1]) < 6, "both moved"
    screen.page.keyboard.press("ArrowRight")
    at_frame(screen, 13)
    screen.page.keyboard.press("Home")
    at_frame(screen, 1)
    screen.page.keyboard.press("Space")
    expect(screen.page.locator("button.play")).to_have_attribute("aria-label", "Pause")
    expect(screen.page.locator(".scrubbing")).not_to_have_attribute("data-frame", "1", timeout=PATIENCE_MS)
    screen.page.keyboard.press("Space")
    expect(screen.page.locator("button.play")).to_have_attribute("aria-label", "Play")
    link = screen.page.get_by_role("link", name="Download as one MP4").get_attribute("href")
    answer = screen.page.request.get(re.match(r"https?://[^/]+", screen.page.url).group() + link)
    assert answer.ok and answer.headers["content-type"] == "video/mp4" and b"ftyp" in answer.body()[:16]
    screen.press("back").sees("Regenerated just now")
    screen.press(f"story_{child}").sees("This video · Regenerated")
    screen.press(f"story_{made}")
    screen.page.wait_for_url(re.compile(f"video={made}"))
    expect(screen.at(f"story_{child}")).to_be_visible(timeout=PATIENCE_MS)


def test_the_plot_tells_the_numbers_of_a_frame_and_goes_there(screen, made):
    other = screen.go().generate("a lighthouse on fire")
    screen.go(f"/gallery?compare={made},{other}").sees("Over 16 frames: PSNR")
    plot = screen.page.locator(".chart svg").first
    box = screen.box(plot)
    screen.page.mouse.move(box["x"] + box["width"] - 8, box["y"] + 20)
    tip = screen.page.locator(".tip").first
    expect(tip).to_have_text(re.compile(r"Frame 16: PSNR \d+\.\d dB · SSIM -?\d\.\d{3}"))
    screen.page.mouse.click(box["x"] + box["width"] - 8, box["y"] + 20)
    at_frame(screen, 16)
    screen.page.locator(".charthead button").first.click()
    expect(screen.page.locator(".where")).not_to_have_text("")
    screen.press("swap")
    screen.page.wait_for_url(re.compile(f"compare={other}"))
    screen.sees("Frame 1 of 16")


def test_a_plot_of_what_hardly_differs_says_its_range_in_as_many_digits_as_it_needs(screen):
    screen.go(f"/gallery?compare={','.join(NEARLY)}").sees("Over 16 frames: PSNR")
    said = screen.page.locator(".charthead strong").nth(1)
    expect(said).to_have_text(re.compile(r"SSIM 0\.999\d+ to 1\.0000+"))


def test_a_comparison_hangs_over_no_edge(screen, made):
    other = screen.go().generate("a lighthouse on ice")
    screen.go(f"/gallery?compare={made},{other}").sees("Over 16 frames: PSNR").sees("Frame 1 of 16")
    for width in (1280, 390):
        screen.page.set_viewport_size({"width": width, "height": 844})
        screen.page.wait_for_timeout(300)
        main = "document.querySelector('[data-testid=stMain]').scrollWidth"
        assert screen.page.evaluate(f"{main} - window.innerWidth") <= 0, width
