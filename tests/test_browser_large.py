"""The gallery of ten thousand videos in a real Chromium: found, ordered, looked through, saved as a search."""

import re
from collections.abc import Iterator

import pytest

browser = pytest.importorskip("browser", reason="playwright is not installed")

from browser import CHROMIUM, PATIENCE_MS, Screen, Server, served  # noqa: E402
from playwright.sync_api import Route, expect  # noqa: E402

from core.domain.video import Video  # noqa: E402
from core.library.storage.video_files import MP4, VideoFiles  # noqa: E402
from scripts.bench_parts.synthetic import fill, shared_clip, synthetic  # noqa: E402

COUNT = 10_000
pytestmark = [pytest.mark.browser,
              pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: browser tests are skipped")]


@pytest.fixture(scope="module")
def videos() -> list[Video]:
    """The videos of the library, newest first."""
    _, result = shared_clip()
    return [synthetic(number, result) for number in reversed(range(COUNT))]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("large")
    fill(folder / "data", COUNT)
    with served(folder / "data", folder / "models", model="", DISPATCH=0) as running:
        yield running


def cards(screen: Screen) -> list[str]:
    """The ids of the cards on the page, in order."""
    shown = screen.page.locator('[class*="st-key-card_"]')
    names = [shown.nth(number).get_attribute("class") for number in range(shown.count())]
    return [re.search(r"st-key-card_(\S+)", name).group(1) for name in names]


def test_all_of_them_are_counted_and_the_newest_24_are_seen(screen, videos):
    screen.go("/gallery").sees(re.compile("^10,000 videos"))
    seen = "[...document.querySelectorAll('[class*=\"st-key-poster_\"] img')].filter(i => i.naturalWidth > 0)"
    screen.page.wait_for_function(f"{seen}.length === 24", timeout=PATIENCE_MS)
    assert cards(screen) == [video.id for video in videos[:24]]
    screen.go("/gallery?g_page=417").sees(re.compile("^10,000 videos"))
    expect(screen.at(f"card_{videos[-1].id}")).to_be_visible()
    assert cards(screen) == [video.id for video in videos[-16:]]


def test_a_search_is_narrowed_ordered_looked_at_by_numbers_and_cleared_piece_by_piece(screen, videos):
    boats = [v for v in videos if "sailing boat" in v.title and "fog" not in v.title]
    wanted = [v for v in boats if v.recipe.num_inference_steps == 20]
    screen.go("/gallery").write("g_q", '"sailing boat" -fog').sees(re.compile(f"^{len(boats):,} videos"))
    screen.press("filters").pick("g_steps", "20").sees(re.compile(f"^{len(wanted):,} videos"))
    screen.page.keyboard.press("Escape")
    screen.pick("g_sort", "Seed")
    first, second = sorted(wanted, key=lambda v: v.recipe.seed)[:2]
    expect(screen.page.locator('[class*="st-key-card_"]').first).to_have_class(re.compile(f"card_{first.id}"))
    for part in ("g_q=", "g_steps=20", "g_sort=Seed"):
        assert part in screen.page.url
    screen.at("g_view").get_by_text("Table", exact=True).click()
    screen.page.wait_for_url(re.compile("g_view=Table"))
    screen.reload().sees(re.compile(f"^{len(wanted):,} videos")).choose_row("table", 1)
    screen.page.wait_for_url(re.compile(f"video={second.id}"))
    screen.sees(f"2 of {len(wanted):,}").press("back").press("clear_g_steps")
    screen.sees(re.compile(f"^{len(boats):,} videos")).press("clear_g_q").sees(re.compile("^10,000 videos"))
    assert "g_q=" not in screen.page.url and "g_steps=" not in screen.page.url


def test_a_search_with_a_name_comes_back_after_another_one(screen, videos):
    wanted = [v for v in videos if v.favorite and "client A" in v.tags]
    screen.go("/gallery?g_favorite=true&g_tags=client+A").sees(re.compile(f"^{len(wanted):,} videos"))
    screen.press("saved").write("saved_name", "for client A").sees("Saved as for client A.")
    screen.go("/gallery?g_q=turtle").press("saved").press("ask_0")
    screen.sees(re.compile(f"^{len(wanted):,} videos"))
    assert "g_favorite=true" in screen.page.url and "g_q=" not in screen.page.url


def test_the_keyboard_goes_from_a_poster_to_its_actions_and_long_prompts_end_in_dots(screen, videos):
    screen.go("/gallery")
    whole(screen)
    screen.at(f"open_{videos[0].id}").locator("button").focus()
    screen.page.keyboard.press("Tab")
    expect(screen.at(f"again_{videos[0].id}").get_by_role("button").first).to_be_focused()
    prompt = screen.at(f"words_{videos[0].id}").get_by_text(videos[0].title)
    assert prompt.evaluate("text => getComputedStyle(text).webkitLineClamp") == "2"


def test_the_keyboard_walks_down_the_table_and_opens_with_a_step_to_the_picture(screen, videos):
    screen.go("/gallery?g_view=Table")
    whole(screen)
    screen.at("table").locator("[data-testid=data-grid-canvas]").focus()
    screen.page.keyboard.press("ArrowDown")
    screen.page.keyboard.press("ArrowDown")
    screen.page.wait_for_timeout(1000)
    assert "video=" not in screen.page.url
    screen.page.keyboard.press("ArrowRight")
    screen.page.wait_for_url(re.compile(f"video={videos[2].id}"))


def test_a_chosen_option_is_readable_in_the_dark_theme(server, chromium):
    context = chromium.new_context(color_scheme="dark")
    chosen = Screen(context.new_page(), server.url).go("/gallery").at("g_view").get_by_text("Grid", exact=True)
    expect(chosen).to_have_css("color", "rgb(92, 198, 218)")  # 8 to 1 on its ground; the accent has 4 to 1
    context.close()


def test_the_way_back_from_a_deletion_stays_in_sight_far_down_the_page(screen, videos):
    rows = [v for v in videos if "tall ship" in v.title]
    screen.go('/gallery?g_q="tall+ship"').press("pick").press(f"open_{rows[20].id}")
    screen.page.locator("[data-testid=stMain]").evaluate("main => main.scrollTo(0, 700)")
    screen.press("bulk_delete").sees("1 video is in the trash.")
    expect(screen.at("undo")).to_be_in_viewport()
    screen.press("undo").sees("1 video is back in the library.")


def test_the_keyboard_walks_plays_stars_regenerates_and_deletes(screen, videos):
    third, fourth, fifth = [v for v in videos if "neon city" in v.title][2:5]
    screen.go("/gallery?g_q=%22neon+city%22").press(f"open_{third.id}").sees("3 of ").playing(third.id)
    screen.strike("ArrowRight").sees("4 of ").playing(fourth.id)
    paused = "document.querySelector('.st-key-film video').paused"
    screen.strike(" ")
    screen.page.wait_for_function(paused, timeout=PATIENCE_MS)
    screen.strike(" ")
    screen.page.wait_for_function(f"!{paused}", timeout=PATIENCE_MS)
    label = "☆ Favourite" if fourth.favorite else "★ Favourite"
    screen.strike("f").sees(label)
    screen.strike("r").sees("Regenerating with the same seed.").sees("Next in line")
    screen.strike("Delete").sees("The video is in the trash.").sees("4 of ")
    assert fourth.id not in screen.page.url
    tags = screen.at(f"tags_{fifth.id}").locator("input")
    tags.fill("r r")  # in a field both keys are the field's
    expect(tags).to_have_value("r r")


@pytest.mark.parametrize(("keys", "steps"), [(["ArrowRight"], 1), (["ArrowRight"] * 3, 3),
                                             (["ArrowRight", "ArrowLeft", "ArrowLeft"], -1), (["Delete"], 1)])
def test_keys_struck_before_their_buttons_are_drawn_are_not_lost(screen, videos, keys, steps):
    kites = [v for v in videos if "paper kite" in v.title]
    third, reached = kites[2], kites[2 + steps]
    held: list[Route] | None = []

    def late(route: Route) -> None:
        if held is None:
            route.continue_()
        else:
            held.append(route)

    screen.page.route(re.compile(r"/static/js/Button\.[^/]+\.js"), late)
    screen.go(f"/gallery?g_q=%22paper+kite%22&video={third.id}")
    for key in keys:
        screen.strike(key)
    expect(screen.page.locator(".st-key-next button")).to_have_count(0)
    waiting, held = held, None
    for route in waiting:
        route.continue_()
    screen.page.wait_for_url(re.compile(f"video={reached.id}"))
    screen.sees("The video is in the trash." if keys == ["Delete"] else f"{3 + steps} of ")


def test_arrows_that_follow_each_other_quickly_are_each_one_step(screen, videos):
    found = [v for v in videos if "brass clock" in v.title]
    screen.go(f"/gallery?g_q=%22brass+clock%22&video={found[1].id}").sees("2 of ").playing(found[1].id)
    for _ in range(4):
        screen.page.keyboard.press("ArrowRight")
    screen.sees("6 of ").playing(found[5].id)
    screen.page.keyboard.press("ArrowLeft")
    screen.page.keyboard.press("ArrowLeft")
    screen.sees("4 of ").playing(found[3].id)


@pytest.mark.parametrize(("width", "bar"), [(1280, "[data-testid=stTopNavLink]"), (390, ".st-key-places a")])
def test_the_gallery_in_the_bar_leads_from_a_video_back_to_what_was_found(screen, videos, width, bar):
    found = [v for v in videos if "snow fox" in v.title]
    screen.page.set_viewport_size({"width": width, "height": 844})
    screen.go(f"/gallery?g_q=fox&video={found[0].id}").sees(f"1 of {len(found):,}").playing(found[0].id)
    screen.page.locator(bar).get_by_text("Gallery").click()
    screen.sees(re.compile(f"^{len(found):,} videos"))
    expect(screen.at(f"card_{found[0].id}")).to_be_visible()
    assert "video=" not in screen.page.url and "g_q=" in screen.page.url


def test_on_a_phone_it_is_searched_and_nothing_hangs_over_the_edge(screen):
    screen.page.set_viewport_size({"width": 390, "height": 844})
    screen.go("/gallery").write("g_q", "lighthouse").sees(re.compile(r"^\d+ videos"))
    for address in ("/gallery?g_q=lighthouse&g_steps=20&g_tags=sea", "/gallery?g_view=Table"):
        screen.go(address).sees(re.compile(r"^[\d,]+ videos"))
        wide = "document.querySelector('[data-testid=stMain]').scrollWidth - window.innerWidth"
        assert screen.page.evaluate(wide) <= 0, address


def whole(screen: Screen) -> None:
    """Wait until everything on the page is drawn: each kind of element loads its own script."""
    drawn = ("document.querySelector('.st-key-pick, .st-key-next') &&"
             " !document.querySelector('[data-testid=stSkeleton]')")
    screen.page.wait_for_function(drawn, timeout=PATIENCE_MS)


def test_on_a_phone_pictures_come_first_and_no_keys_are_named(server, chromium, videos):
    context = chromium.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    phone = Screen(context.new_page(), server.url).go("/gallery")
    whole(phone)
    last = phone.at("pick").bounding_box()
    assert last["y"] + last["height"] - phone.at("g_q").bounding_box()["y"] < 150, "three lines of tools"
    phone.go("/gallery?g_tags=sea&g_steps=20&g_favorite=true").sees("Favourites only")
    whole(phone)
    chips = phone.at("chips").get_by_role("button")
    assert chips.count() == 4 and len({round(chip.bounding_box()["y"]) for chip in chips.all()}) == 1, "one line"
    count = phone.page.get_by_text(re.compile(r"^\d+ videos? ·")).bounding_box()
    tool = phone.at("pick").bounding_box()
    assert abs(count["y"] + count["height"] / 2 - tool["y"] - tool["height"] / 2) < 4, "Select is beside the count"
    phone.press("clear_all").sees(re.compile(r"^(10,000|9,99\d) videos"))  # two may be deleted by now
    whole(phone)
    phone.press(f"open_{videos[0].id}").playing(videos[0].id)
    whole(phone)
    expect(phone.at("next").locator("kbd").first).to_be_hidden()
    assert phone.at("next").get_by_role("button", name="Next").count() == 1
    assert phone.at("said").bounding_box()["y"] < phone.at("actions_opened").bounding_box()["y"]
    context.close()


def test_a_damaged_video_is_opened_by_its_picture_and_keeps_its_row_straight(screen, server, videos):
    lilies = [v for v in videos if "water lily" in v.title]
    VideoFiles(server.log.parent / "library").path(lilies[2].id, MP4).unlink()
    screen.go("/gallery?g_q=%22water+lily%22").sees("missing or damaged")
    whole(screen)
    heights = {round(screen.at(f"card_{v.id}").bounding_box()["height"]) for v in lilies[:6]}
    assert len(heights) == 1
    one, damaged = (screen.at(f"poster_{v.id}").bounding_box() for v in (lilies[0], lilies[2]))
    assert (damaged["width"], damaged["height"]) == (one["width"], one["height"])
    screen.page.mouse.click(damaged["x"] + 20, damaged["y"] + 20)
    screen.sees(re.compile("The MP4 of .* is missing"))
