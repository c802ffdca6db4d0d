"""A seed audition in a real Chromium: asked for, watched, chosen from with the keyboard, also on a phone."""

import re

import pytest

pytest.importorskip("browser", reason="playwright is not installed")

from browser import CHROMIUM, PATIENCE_MS, Screen
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser,
              pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: browser tests are skipped")]
SHEET = '[data-testid="stImage"] img[src*="/app/static/audition/"]'


def test_seeds_are_tried_and_one_is_finished_with_the_keyboard(screen, server, chromium):
    screen.go().write("f_prompt", "a heron at dawn").write("f_seed", "40").unfold("more")
    screen.write("f_num_inference_steps", "30").press("audition")
    screen.sees(re.compile(r"Seed \d of 6, step \d+ of 10"))
    screen.page.wait_for_selector(SHEET, timeout=2 * PATIENCE_MS)
    screen.page.wait_for_function(f"document.querySelector('{SHEET}').naturalWidth === 588")
    chosen = screen.page.get_by_role("button", name="3 · Finish seed 42")
    chosen.focus()
    screen.page.keyboard.press("Enter")
    expect(screen.at("actions_stage")).to_be_visible(timeout=2 * PATIENCE_MS)
    made = re.search(r"\d{8}-\d{6}-[0-9a-f]{6}", screen.playing()["source"]).group()
    sidecar = screen.page.request.get(f"{server.url}/app/static/video/{made}.json").json()
    assert (sidecar["request"]["seed"], sidecar["request"]["num_inference_steps"]) == (42, 30)
    expect(chosen).to_be_visible()  # the other seeds stay at hand

    phone = chromium.new_page(viewport={"width": 390, "height": 844})
    small = Screen(phone, server.url).go("/queue")
    phone.locator('[class*="st-key-open_job_"] button').last.click()
    phone.wait_for_selector(SHEET)
    for number in range(1, 7):
        box = small.page.get_by_role("button", name=f"{number} · Finish seed {39 + number}").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    phone.close()
