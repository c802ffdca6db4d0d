"""The studio in a real Chromium, on a real server with a real (tiny) model: what a person does, start to end."""

import re
import shutil
from pathlib import Path

import pytest

browser = pytest.importorskip("browser", reason="playwright is not installed")

from browser import CHROMIUM, PATIENCE_MS, Screen, served  # noqa: E402
from playwright.sync_api import expect  # noqa: E402

pytestmark = [pytest.mark.browser,
              pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: browser tests are skipped")]


def test_one_click_makes_a_video_that_is_watched_while_it_is_made_and_plays(screen):
    screen.go()
    expect(screen.at("f_prompt").locator("textarea")).not_to_have_value("")
    screen.write("f_num_frames", "48").unfold("more").write("f_num_inference_steps", "100").press("generate")
    screen.page.wait_for_selector('[data-testid="stImage"] img[src*="/app/static/preview/"]')
    lines = screen.follow_progress("actions_stage")
    steps = [line for line in lines if re.match(r"Step \d+ of 100", line)]
    assert len(steps) >= 2 and len(set(steps)) == len(steps), lines
    player = screen.playing()
    assert player["width"] == 32 and player["error"] is None and player["muted"]
    screen.begins_again()


def test_three_presses_make_three_videos(screen):
    screen.go().write("f_prompt", "one of three")
    for _ in range(3):
        screen.press("generate")
        screen.page.wait_for_timeout(150)
    screen.page.goto(screen.page.url + "gallery?g_q=one+of+three")
    expect(screen.page.locator('[class*="st-key-card_"]')).to_have_count(3, timeout=PATIENCE_MS)


def test_a_refused_value_is_explained_at_the_form(screen):
    screen.go().write("f_seed", "no number").press("generate").sees(re.compile("Seed: 'no number' is not"))


def test_a_video_is_found_in_the_gallery_opened_and_made_again_identically(screen, made):
    screen.go("/gallery").write("g_q", "lighthouse -storm")
    expect(screen.page.locator('[class*="st-key-card_"]')).to_have_count(1)
    assert "g_q=" in screen.page.url
    screen.press(f"open_{made}")
    screen.page.wait_for_url(re.compile(f"video={made}"))
    assert screen.playing()["error"] is None
    screen.press("regenerate_opened")
    screen.page.wait_for_url(re.compile(f"compare={made}"))
    screen.sees("Identical").sees("Every pixel of all 16 frames is the same.")
    screen.press("back").press("open_child").sees("This video")


def test_a_press_beside_a_moving_job_is_answered_with_a_short_message(screen, made):
    screen.go(f"/?job={made}").press("regenerate_stage").sees("Regenerating with the same seed.")


def test_the_back_button_of_the_browser_returns_to_the_grid(screen, made):
    screen.go("/gallery?g_q=lighthouse").press(f"open_{made}")
    screen.page.wait_for_url(re.compile("video="))
    screen.sees("The recipe as text")
    screen.page.go_back()
    expect(screen.at(f"card_{made}")).to_be_visible()
    screen.holds("g_q", "lighthouse")
    screen.page.go_forward()
    screen.sees("The recipe as text")
    screen.page.go_back()
    expect(screen.at(f"card_{made}")).to_be_visible()
    screen.press(f"open_{made}").sees("The recipe as text").press("back")
    expect(screen.at(f"card_{made}")).to_be_visible()
    screen.holds("g_q", "lighthouse")


def test_a_running_job_survives_a_reload_and_is_cancelled(screen):
    screen.go().unfold("more").write("f_num_inference_steps", "100").write("f_num_frames", "64")
    screen.write("f_prompt", "to be cancelled").press("generate").sees(re.compile(r"Step \d+ of 100"))
    screen.reload().sees(re.compile(r"Step \d+ of 100"))
    screen.at("stage").get_by_role("button", name="Cancel").first.click()
    screen.sees("Cancelled").sees("Retry")
    screen.go("/queue").sees("Nothing is waiting.").sees("to be cancelled")


def test_remix_fills_the_form_from_the_video(screen, made):
    screen.go(f"/gallery?video={made}").press("remix_opened")
    screen.page.wait_for_url(re.compile(f"from={made}"))
    screen.sees("Filled from a video of the gallery")
    screen.holds("f_prompt", "a lighthouse in the fog").holds("f_seed", re.compile(r"^\d+$"))


def test_a_star_stays(screen, made):
    screen.go("/gallery?g_q=lighthouse").press(f"star_{made}")
    screen.go("/gallery?g_favorite=true")
    expect(screen.at(f"card_{made}")).to_be_visible()


def test_a_poster_moves_while_it_is_pointed_at_or_focused_and_is_loaded_only_then(screen, made):
    asked: list[str] = []
    screen.page.on("request", lambda request: "/animation/" in request.url and asked.append(request.url))
    screen.go("/gallery?g_q=lighthouse")
    poster, moving = screen.at(f"poster_{made}"), f"/app/static/animation/{made}.webp"
    expect(poster.locator("img")).to_be_visible()
    assert asked == [] and moving not in screen.drawn_over(poster)
    poster.hover()
    assert moving in screen.drawn_over(poster) and all(address.endswith(moving) for address in asked)
    screen.page.mouse.move(0, 0)
    assert moving not in screen.drawn_over(poster)
    screen.at("g_sort").locator("input").focus()
    for _ in range(30):
        screen.page.keyboard.press("Tab")
        if moving in screen.drawn_over(poster):
            break
    assert moving in screen.drawn_over(poster)
    screen.page.emulate_media(reduced_motion="reduce")
    poster.hover()
    assert moving not in screen.drawn_over(poster)


def test_a_row_of_the_table_opens_its_video_and_the_way_back_leads_to_the_table(screen, made):
    screen.go("/gallery?g_q=lighthouse")
    screen.at("g_view").get_by_text("Table", exact=True).click()
    screen.page.wait_for_url(re.compile("g_view=Table"))
    screen.choose_row("table", 0)
    screen.page.wait_for_url(re.compile("video="))
    screen.sees("The recipe as text").press("back")
    expect(screen.at("table")).to_be_visible()
    assert "g_view=Table" in screen.page.url and "video=" not in screen.page.url


def test_downloads_carry_a_name_a_person_can_read(screen, made):
    screen.go(f"/gallery?video={made}")
    screen.press("download_as_opened")
    for label, name in (("Download MP4", f"a-lighthouse-in-the-fog-{made}.mp4"),
                        ("GIF", f"a-lighthouse-in-the-fog-{made}.gif"),
                        ("JSON", f"a-lighthouse-in-the-fog-{made}.json")):
        link = screen.page.get_by_role("link", name=label, exact=True)
        answer = screen.page.request.get(server_url(screen) + link.get_attribute("href"))
        assert answer.ok and f'filename="{name}"' in answer.headers["content-disposition"]


def server_url(screen: Screen) -> str:
    return re.match(r"https?://[^/]+", screen.page.url).group()


def test_a_deleted_video_is_gone_until_it_is_undone(screen):
    made = screen.go().generate("to be deleted")
    screen.go(f"/gallery?video={made}")
    screen.at("delete").get_by_role("button", name="Delete").first.click()
    screen.sees("The video is in the trash.").press("undo").sees_not("The video is in the trash.")
    assert screen.playing()["source"].endswith(f"{made}.mp4")
    screen.strike("Delete").sees("The video is in the trash.").go("/gallery")
    expect(screen.at("g_q")).to_be_visible()
    expect(screen.at(f"card_{made}")).to_have_count(0)


def test_an_opened_video_is_walked_starred_tagged_and_deleted_with_the_keyboard(screen, made):
    other = screen.go().generate("a lighthouse in a storm")
    screen.go("/gallery?g_q=lighthouse").press(f"open_{other}").sees("1 of ").strike("ArrowRight").sees("2 of ")
    screen.strike("ArrowLeft").sees("1 of ").strike("f").sees("★ Favourite")
    tags = screen.at(f"tags_{other}")
    tags.locator("input").fill("far left")
    screen.strike("ArrowRight").strike("Enter")  # in a field they are the field's
    expect(tags.get_by_text("far left", exact=True).first).to_be_visible()
    screen.reload().sees("★ Favourite").sees("1 of ")
    expect(tags.get_by_text("far left", exact=True).first).to_be_visible()
    screen.strike("Delete").sees("The video is in the trash.")
    expect(screen.page.locator(f".st-key-tags_{other}")).to_have_count(0)
    assert f"video={other}" not in screen.page.url


def test_a_prompt_is_never_run_as_html_or_markdown(screen):
    evil = "<img src=x onerror=document.title='owned'> **bold** ![x](/app/static/evil.png)"
    asked: list[str] = []
    screen.page.on("request", lambda request: asked.append(request.url))
    screen.go().generate(evil)
    for path in ("/gallery", "/queue"):
        screen.go(path).sees("**bold**")
    assert screen.page.title() != "owned" and not [url for url in asked if "evil" in url or url.endswith("/x")]


def test_nothing_is_asked_of_any_other_machine(screen, made):
    elsewhere: list[str] = []
    screen.page.on("request", lambda request: elsewhere.append(request.url))
    for path in ("/", "/gallery", f"/gallery?video={made}", "/queue"):
        screen.go(path)
    assert [url for url in elsewhere if not url.startswith(("http://127.0.0.1:", "data:", "blob:"))] == []


def test_nothing_hangs_over_the_edge_of_a_desk_or_a_phone(screen, made):
    for path in ("/", "/gallery", f"/gallery?video={made}", "/queue", "/trash"):
        screen.go(path).sees("CPU")
        for width in (1280, 390):
            screen.page.set_viewport_size({"width": width, "height": 844})
            screen.page.wait_for_timeout(300)
            main = "document.querySelector('[data-testid=stMain]').scrollWidth"
            assert screen.page.evaluate(f"{main} - window.innerWidth") <= 0, (path, width)


@pytest.mark.parametrize(("width", "here"), [(320, True), (390, True), (767, True), (768, False), (1280, False)])
def test_the_pages_are_visible_at_every_width(screen, made, width, here):
    """Streamlit hides them behind a sign on a narrow screen; there they stand in the header, once."""
    screen.page.set_viewport_size({"width": width, "height": 844})
    screen.go(f"/gallery?video={made}").playing(made)
    ours = screen.at("places")
    theirs = screen.page.locator('[data-testid="stTopNavLink"]')
    shown = ours.get_by_role("link") if here else theirs
    expect(shown).to_have_count(3)
    for hidden in (theirs, screen.page.get_by_test_id("stExpandSidebarButton")) if here else (ours,):
        expect(hidden.first).to_be_hidden()
    assert not ours.get_by_test_id("stIconMaterial").count(), "there is no room for icons"
    right = screen.page.get_by_test_id("stHeaderLogo").bounding_box()
    right = right["x"] + right["width"]
    for link in shown.all():
        box = link.bounding_box()
        assert box["x"] >= right and box["x"] + box["width"] <= width and box["y"] + box["height"] <= 57
        right = box["x"] + box["width"]
    shown.filter(has_text="Generate").click()
    expect(screen.at("f_prompt")).to_be_visible()
    shown.filter(has_text="Gallery").click()
    expect(screen.at(f"card_{made}")).to_be_visible()
    shown.filter(has_text="Queue").click()
    screen.sees("Ended")


def test_on_a_phone_the_video_comes_before_the_form_and_on_a_desk_beside_it(server, chromium, made):
    def place(width: int) -> tuple[dict, dict]:
        page = chromium.new_page(viewport={"width": width, "height": 844})
        screen = Screen(page, server.url).go()
        screen.sees("CPU")
        page.wait_for_timeout(500)
        boxes = screen.at("stage").bounding_box(), screen.at("f_prompt").bounding_box()
        page.close()
        return boxes

    stage, prompt = place(390)
    assert stage["y"] < prompt["y"]
    stage, prompt = place(1280)
    assert prompt["x"] + prompt["width"] <= stage["x"] and abs(stage["y"] - prompt["y"]) < 100


def test_on_a_phone_the_page_scrolls_to_the_stage_after_a_submission(server, chromium):
    page = chromium.new_page(viewport={"width": 390, "height": 600}, reduced_motion="reduce")
    screen = Screen(page, server.url).go()
    for button in ("generate", "audition"):
        screen.at(button).get_by_role("button").first.scroll_into_view_if_needed()
        page.wait_for_function("document.querySelector('.st-key-stage').getBoundingClientRect().top < 0")
        screen.press(button)
        page.wait_for_function("document.querySelector('.st-key-stage').getBoundingClientRect().top > 0")
        page.wait_for_timeout(700)  # it stays there when the page is drawn again
        assert 40 < screen.box(screen.at("stage"))["y"] < 120
    expect(page.locator('[data-testid="stProgress"]')).to_have_count(0, timeout=PATIENCE_MS)
    page.close()


def test_on_a_desk_the_video_stays_in_sight_beside_a_long_form(screen, made):
    screen.go().unfold("more")
    expect(screen.at("f_negative_prompt")).to_be_visible()
    screen.page.wait_for_function("""() => {
        document.querySelector('[data-testid="stMain"]').scrollTo(0, 100000);  // it unfolds bit by bit
        return document.querySelector('.st-key-f_prompt').getBoundingClientRect().top < 0; }""")
    assert screen.box(screen.at("f_prompt"))["y"] < 0 < screen.box(screen.at("stage"))["y"]


def test_a_deep_link_opens_a_video_on_a_server_nobody_has_visited(chromium, server, made, tmp_path, models_dir):
    library = Path(server.log).parent / "library"
    shutil.copytree(library, tmp_path / "data" / "library")
    with served(tmp_path / "data", models_dir, DISPATCH=0) as fresh:
        page = chromium.new_page()
        screen = Screen(page, fresh.url).go(f"/gallery?video={made}")
        screen.sees("a lighthouse in the fog")
        page.wait_for_function("document.querySelector('video')?.readyState >= 3", timeout=PATIENCE_MS)
        page.evaluate("document.querySelector('video').play()")  # nobody has clicked here: a browser may not begin
        assert screen.playing()["width"] == 32
        page.close()
