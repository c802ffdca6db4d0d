"""Times each operation on a library of many videos, and on stock TinyDB with the same documents.

The library works as in the studio: it checks bytes, forces files to the disk, and checks the files of a page. Stock
TinyDB (`JSONStorage`) does less: it only stores rows. Each figure has clock time and processor time. Other work on
the machine distorts processor time less.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.domain.video import Video
from core.library.library import Library
from core.library.search.query import Query
from scripts.bench_parts.synthetic import fill, shared_clip, synthetic

COUNTS = (1000, 10_000)
ASKED = Query('sailing -fog "at sunrise"', num_inference_steps=20, sort="seed", page=2)
NEVER_ASKED = tuple(replace(ASKED, text=f'{thing} -fog "at sunrise"')
                    for thing in ("neon", "kite", "shooting", "clock", "cat", "turtle", "balloon", "fox"))
_ROOT = Path(__file__).resolve().parent.parent.parent
_RESIDENT = """
import sys
from pathlib import Path
def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024
from core.library.library import Library
from core.library.search.query import Query
before = resident()
library = Library(Path(sys.argv[1]), writable=True)
library.search(Query())
print(resident() - before)
"""


def measure(models_dir: Path, repeats: int, counts: tuple[int, ...] = COUNTS) -> dict[str, Any]:
    """The operations at each count; `models_dir` is not used."""
    figures: dict[str, Any] = {}
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="t2v-bench-") as folder:
            fill(Path(folder), count)
            print(f"  {count:,} videos are there", file=sys.stderr, flush=True)
            for name, value in _operations(Path(folder), count, repeats).items():
                figures[f"{count:,}: {name}"] = value
    return figures


def _operations(data_dir: Path, count: int, repeats: int) -> dict[str, Any]:
    figures: dict[str, Any] = {}

    def note(name: str, samples: list[tuple[float, float]]) -> float:
        figures[f"{name}, ms"] = statistics.median(wall for wall, _ in samples) * 1000
        figures[f"{name}, ms of processor"] = statistics.median(cpu for _, cpu in samples) * 1000
        print(f"  {name}: {figures[f'{name}, ms']:,.1f} ms", file=sys.stderr, flush=True)
        return figures[f"{name}, ms of processor"]

    def opened() -> None:
        Library(data_dir, writable=True).close()

    note("open", [_time(opened) for _ in range(repeats)])
    library = Library(data_dir, writable=True)
    first = library.search(Query()).entries
    note("first page, warm", _after_a_change(library, first[0].id, repeats, Query()))
    new = note("filter + text + sort + page, never asked before",
               [_time(lambda query=query: library.search(query)) for query in NEVER_ASKED])
    found = library.search(ASKED)
    again = note("filter + text + sort + page, asked again after a change",
                 _after_a_change(library, first[0].id, repeats, ASKED))
    note("the values of the filters", [_time(library.facets) for _ in range(repeats)
                                          if _changed(library, first[0].id)])
    note("the Damaged filter, every file asked", [_time(lambda: library.search(Query(damaged=True)))
                                                  for _ in range(repeats) if _changed(library, first[0].id)])
    data, result = shared_clip()
    fresh = [synthetic(count + number, result) for number in range(repeats)]
    note("insert, durable", [_time(lambda made=made: library.publish(made, data)) for made in fresh])
    note("tag, durable", [_time(lambda made=made: library.change(made.id, tags=("new",))) for made in fresh])
    note("delete, durable", [_time(lambda made=made: library.delete(made.id)) for made in fresh])
    note("flush of the index", [_time(library.flush) for _ in range(repeats) if _changed(library, first[0].id)])
    note("reindex", [_time(library.reindex)])
    library.close()
    done = subprocess.run([sys.executable, "-c", _RESIDENT, str(data_dir)], cwd=_ROOT, capture_output=True,
                          text=True, check=True)
    figures["memory for the library, MB resident"] = float(done.stdout)
    stock = _stock(data_dir, found.total, fresh)
    figures |= stock
    theirs = stock["stock TinyDB: filter + text + sort + page, ms of processor"]
    figures["search: stock TinyDB / ours, never asked before (aim 100), of processor"] = theirs / new
    figures["search: stock TinyDB / ours, asked again after a change (aim 100), of processor"] = theirs / again
    return figures


def _changed(library: Library, video_id: str) -> Library:
    """The library after a change of one row, so that no stored answer is valid."""
    library.change(video_id, favorite=not library.get(video_id).favorite)
    return library


def _after_a_change(library: Library, video_id: str, repeats: int, query: Query) -> list[tuple[float, float]]:
    return [_time(lambda: library.search(query)) for _ in range(repeats) if _changed(library, video_id)]


def _stock(data_dir: Path, expected: int, fresh: list[Video]) -> dict[str, float]:
    """The same documents in a standard TinyDB; only one run each, because each takes long."""
    from tinydb import TinyDB, where
    from tinydb.middlewares import CachingMiddleware
    from tinydb.storages import JSONStorage

    figures: dict[str, float] = {}

    def note(name: str, call: Callable[[], Any]) -> None:
        wall, cpu = _time(call)
        figures[f"stock TinyDB: {name}, ms"] = wall * 1000
        figures[f"stock TinyDB: {name}, ms of processor"] = cpu * 1000

    index = data_dir / "index.json"
    with TinyDB(index, storage=CachingMiddleware(JSONStorage)) as stock:
        stock.all()  # loads the file into memory
        note("the same search, its file in memory", lambda: sorted(stock.search(_asked(where)), key=_seed)[24:48])
    with TinyDB(index) as stock:
        def page() -> list[Any]:
            rows = sorted(stock.search(_asked(where)), key=_seed)
            assert len(rows) == expected, (len(rows), expected)
            return rows[24:48]

        note("filter + text + sort + page", page)
        row = {**stock.all()[-1], "id": fresh[0].id}
        note("insert", lambda: stock.insert(row))
        note("tag", lambda: stock.update({"tags": ["new"]}, where("id") == row["id"]))
        note("delete", lambda: stock.remove(where("id") == row["id"]))
    return figures


def _asked(where: Callable[[str], Any]) -> Any:
    """`ASKED` as a new TinyDB query each time, because TinyDB stores the answer to the same query object."""
    return ((where("num_inference_steps") == 20)
            & where("prompt").test(lambda text: "sailing" in text.lower() and "at sunrise" in text.lower()
                                   and "fog" not in text.lower()))


def _seed(row: dict[str, Any]) -> int:
    return row["seed"]


def _time(call: Callable[[], Any]) -> tuple[float, float]:
    """The duration of a call: seconds of the clock, and processor seconds of the calling thread.

    At the same time another thread may write the index.
    """
    wall, cpu = time.perf_counter(), time.thread_time()
    call()
    return time.perf_counter() - wall, time.thread_time() - cpu
