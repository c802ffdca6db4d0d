"""What a studio says of a request before it runs: words, examples, seconds, and what would differ."""

from collections.abc import Callable

from core.forecast import Forecast, expected_causes, prompt_examples, seconds_here, unknown_words
from core.jobs.status import WorkerStatus
from core.library.library import Library
from core.library.query import Query
from core.models import catalog, find, folder_on_disk
from core.request import VideoRequest
from core.settings import Settings, hub_cache


class Beforehand:
    """The forecasts of one studio: they read, and change nothing."""

    def __init__(self, settings: Settings, worker: Callable[[], WorkerStatus | None],
                 library: Callable[[], Library]) -> None:
        """`worker` says the worker's last sign of life; `library` is asked anew each time, as another may lead."""
        self._settings = settings
        self._worker = worker
        self._library = library

    def foresee(self, video_id: str) -> Forecast:
        """What this machine would do differently from the one that made the video, before running it."""
        status = self._worker()
        return expected_causes(self._library().get(video_id).receipt, status and status.environment,
                               status and status.warm, catalog(self._settings.models_dir))

    def unknown_words(self, model: str, prompt: str) -> tuple[str, ...]:
        """Words of the prompt that the model's own word list does not have; none where it ships no list."""
        return unknown_words(self._settings.models_dir, model, prompt)

    def prompt_examples(self, model: str) -> tuple[str, ...]:
        """Prompts that suit the model, to click."""
        return prompt_examples(self._settings.models_dir, find(catalog(self._settings.models_dir), model))

    def is_on_disk(self, model: str) -> bool:
        """Whether a folder of the models directory, or the hub's cache, holds the model."""
        spec = find(catalog(self._settings.models_dir), model)
        return folder_on_disk(self._settings.models_dir, hub_cache(), spec) is not None

    def estimate_s(self, request: VideoRequest) -> float | None:
        """Seconds such a request will take, from the last video of its model that was made here; None without."""
        status, library = self._worker(), self._library()
        recent = library.search(Query(model=request.model, page_size=20)).videos
        return seconds_here(request, status and status.environment, (video.id for video in recent), library.get)
