"""The worker as a process: the real engine behind a host, and the host behind two pipes."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from core.jobs.worker.checkpoint_cadence import Cadence
from core.jobs.worker.host import WorkerHost
from core.jobs.worker.json_lines import answer_lines
from core.settings import Settings

if TYPE_CHECKING:
    from core.jobs.worker.renderer import Renderer


def serve(build: "Callable[[], Renderer]", cadence: Cadence = Cadence()) -> NoReturn:  # noqa: B008 (frozen)
    """Be a worker until stdin ends."""
    answer_lines(lambda on_news: WorkerHost(build, on_news, cadence))


def build_renderer() -> "Renderer":
    """The real engine, with the settings of the environment."""
    # Imported here, in the render thread: torch takes seconds, and the worker must answer during this time.
    from core.diffusion.engine import Engine
    from core.jobs.worker.renderer import Renderer

    settings = Settings.from_env()
    return Renderer(Engine(settings), settings.data_dir)
