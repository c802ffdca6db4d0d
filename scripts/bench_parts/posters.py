"""Times the posters of a gallery page in a real browser, in a library of many videos."""

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from scripts.bench_parts.browsing import a_page, missing, served
from scripts.bench_parts.synthetic import fill

COUNTS = (1000, 10_000)
SHOWN = 24
_SEEN = ("([first, count]) => { const seen = [...document.querySelectorAll('[class*=\"st-key-poster_\"] img')]"
         ".filter(image => image.naturalWidth > 0);"
         " const card = document.querySelector('[class*=\"st-key-card_\"]');"
         " return seen.length === count && !card.className.includes(first) }")
_FIRST = "document.querySelector('[class*=\"st-key-card_\"]').className.match(/card_(\\S+)/)[1]"


def measure(models_dir: Path, repeats: int, counts: tuple[int, ...] = COUNTS) -> dict[str, Any]:
    """Milliseconds until all 24 posters of a page are decoded: for the opened gallery, and for its next page."""
    if lacking := missing():
        return {f"skipped: {lacking}": 0}
    figures: dict[str, Any] = {}
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="t2v-bench-") as folder:
            fill(Path(folder), count)
            print(f"  {count:,} videos are there", file=sys.stderr, flush=True)
            with served(Path(folder), models_dir) as (address, _), a_page() as page:
                cold = _opened(page, address)
                opened = [_opened(page, address) for _ in range(repeats)]
                turned = [_turned(page, number) for number in range(2, 2 + repeats)]
        figures[f"{count:,}: the gallery opened for the first time, ms"] = cold
        figures[f"{count:,}: the gallery opened again, ms (aim 1000)"] = statistics.median(opened)
        figures[f"{count:,}: one page further, ms"] = statistics.median(turned)
    return figures


def _opened(page: Any, address: str) -> float:
    """The time from the address to the last poster; it starts from an empty page."""
    page.goto("about:blank")
    begun = time.perf_counter()
    page.goto(f"{address}/gallery", wait_until="commit")
    page.wait_for_function(_SEEN, arg=["nothing", SHOWN], timeout=60_000)
    return (time.perf_counter() - begun) * 1000


def _turned(page: Any, number: int) -> float:
    """The time from the click on a page's number to the last of its posters."""
    first = page.evaluate(_FIRST)
    begun = time.perf_counter()
    page.locator(".st-key-g_page_shown button").get_by_text(str(number), exact=True).click()
    page.wait_for_function(_SEEN, arg=[first, SHOWN], timeout=60_000)
    return (time.perf_counter() - begun) * 1000
