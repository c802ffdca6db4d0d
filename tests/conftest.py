"""The shared fixtures. A fixture imports what it needs when it is asked for, so that quick tests stay quick."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from browser import Screen, Server
    from house import House
    from playwright.sync_api import Browser

    from core.diffusion.engine import Engine
    from core.jobs.queue.ledger import Ledger
    from core.library.library import Library
    from core.studio import Studio


def pytest_configure(config: pytest.Config) -> None:
    """Warnings are errors, except those of the pinned libraries that we cannot mend."""
    # diffusers' schedulers call np.array(tensor), and torch's __array__ does not know NumPy 2's copy keyword
    config.addinivalue_line("filterwarnings", "ignore:__array__ implementation doesn't accept:DeprecationWarning")


SLOW = {
    # a browser
    "test_browser", "test_browser_audition", "test_browser_bulk", "test_browser_compare", "test_browser_import_export",
    "test_browser_large",
    # killed processes, and workers in processes of their own
    "test_command_line", "test_crash", "test_dispatcher", "test_library_crash", "test_line", "test_old_data",
    "test_out_of_memory", "test_pages_memory", "test_pause", "test_worker",
    # a training, or a long search for counterexamples
    "test_demo_model", "test_library_model",
    # the real engine, or a model of full size
    "test_audition", "test_bench_gpu", "test_cost", "test_diffusion", "test_diffusion_checkpoint",
    "test_diffusion_engine", "test_diffusion_hub", "test_encoding", "test_families", "test_gpu", "test_graphs",
    "test_loop_state", "test_modes", "test_network", "test_placement", "test_schedulers", "test_step_counts",
    # hundreds of megabytes
    "test_archive",
    # screens that are drawn many times in each test, and leaders that wait for each other
    "test_leadership", "test_pages_audition", "test_pages_bulk", "test_pages_compare", "test_pages_damaged",
    "test_pages_import_export", "test_pages_pause",
}
"""Files that `./scripts/test fast` leaves out, by the reason. It does not even import them: torch takes ten seconds."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave those files out where slow tests are not wanted."""
    return True if config.option.markexpr == "not slow" and collection_path.stem in SLOW else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark those tests as slow, and all that name a killed process or need a real model."""
    for item in items:
        needs_model = "models_dir" in getattr(item, "fixturenames", ())
        if item.path.stem in SLOW or "kill" in item.name or needs_model:
            item.add_marker(pytest.mark.slow)


# Models

@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder that holds one real model, "tiny" (32×32 frames, random weights). Read only."""
    import torch
    from tiny import make_checkpoint

    torch.set_num_threads(1)  # its matrices are so small that threads only wait for each other
    folder = tmp_path_factory.mktemp("models")
    make_checkpoint(folder / "tiny")
    return folder


@pytest.fixture(scope="module")
def engine(models_dir: Path) -> "Engine":
    """The real engine on a CPU, with that folder."""
    from core.diffusion.engine import Engine
    from core.settings import Settings

    return Engine(Settings.from_env({}, models_dir=models_dir, device="cpu"))


# Videos and jobs

@pytest.fixture
def library(tmp_path: Path) -> "Iterator[Library]":
    """An empty library, writable."""
    from core.library.library import Library

    opened = Library(tmp_path, writable=True)
    yield opened
    opened.close()


@pytest.fixture
def ledger(tmp_path: Path) -> "Iterator[Ledger]":
    """An empty ledger."""
    from core.jobs.queue.ledger import Ledger

    opened = Ledger(tmp_path / "jobs.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def house(tmp_path: Path) -> "Iterator[House]":
    """A queue and a library whose small engine runs in a thread."""
    from house import House

    house = House(tmp_path)
    yield house
    house.close()


@pytest.fixture
def process_house(tmp_path: Path) -> "Iterator[House]":
    """With a worker in a separate process; the small engine makes it quick to start."""
    import drawn
    from house import House, settings_for

    from core.jobs.executors.process import ProcessExecutor

    settings = settings_for(tmp_path, worker_timeout_s=2)
    house = House(tmp_path, settings, ProcessExecutor(settings, drawn.command()), cancel_grace_s=0.3)
    house.turn(lambda: house.dispatcher.status and house.dispatcher.status.state == "idle")
    yield house
    house.close()


# Screens

@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Iterator[Studio]":
    """The studio of the pages, on an empty folder, running no jobs."""
    from pages.parts import shell

    for name, value in {"DATA_DIR": tmp_path / "data", "MODELS_DIR": tmp_path / "models", "DISPATCH": 0,
                        "DEVICE": "cpu", "MODEL": "", "MIN_FREE_MB": 0, "MAX_QUEUED": 200}.items():
        monkeypatch.setenv(f"T2V_{name}", str(value))
    monkeypatch.setattr("core.library.examples.FOLDER", tmp_path / "examples")
    monkeypatch.setattr("core.operations.bulk_actions.PATIENCE_S", 60.0)
    shell.current_studio.clear()
    yield shell.current_studio()
    shell.current_studio.clear()


@pytest.fixture
def no_trash(studio: "Studio", monkeypatch: pytest.MonkeyPatch) -> "Studio":
    """The studio of the pages, without a trash."""
    from pages.parts import shell

    monkeypatch.setenv("T2V_TRASH_DAYS", "0")
    shell.current_studio.clear()
    return shell.current_studio()


# A browser

@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> "Iterator[Server]":
    """A studio with the tiny model, served."""
    from browser import served

    with served(tmp_path_factory.mktemp("browser") / "data", models_dir) as running:
        yield running


@pytest.fixture(scope="module")
def chromium() -> "Iterator[Browser]":
    """A Chromium."""
    from browser import CHROMIUM, FLAGS
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def screen(server: "Server", chromium: "Browser") -> "Iterator[Screen]":
    """A page of that studio, 1280 px wide; neither its scripts nor the server may report an error."""
    from browser import Screen, listen

    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    broken = listen(page)
    yield Screen(page, server.url)
    context.close()
    assert broken == [] and server.warnings() == []


@pytest.fixture(scope="module")
def made(server: "Server", chromium: "Browser") -> str:
    """The id of a video that was made in the browser, from its own prompt."""
    from browser import Screen

    page = chromium.new_page()
    found = Screen(page, server.url).go().generate("a lighthouse in the fog")
    page.close()
    return found
