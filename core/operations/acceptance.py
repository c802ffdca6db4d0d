"""Acceptance: the conditions that a request must meet before it enters the queue."""

import shutil
from collections.abc import Callable

from core.domain.models import find
from core.domain.recipe import Recipe, resolve
from core.domain.request import VideoRequest
from core.domain.task import Task
from core.domain.video import Origin, Video
from core.errors import BadRequest, DiskFull, NewerLibrary
from core.families.catalog import catalog
from core.jobs.kinds.registry import KINDS
from core.library.library import Library
from core.library.lineage import origin_of
from core.operations.planner import Planner
from core.settings import Settings


class Acceptance:
    """The checks that every kind of work uses before it accepts something; see `core.jobs.kinds.kind.Checks`."""

    def __init__(self, settings: Settings, planner: Planner, library: Callable[[], Library],
                 device: Callable[[], str], default_model: Callable[[], str]) -> None:
        """Each of these is asked again every time."""
        self._settings = settings
        self._planner = planner
        self._library = library
        self._device = device
        self._default_model = default_model

    def task(self, kind: str, asked: object) -> Task:
        """The input for a kind of work (a key of `KINDS`) as a complete task.

        Raises:
            BadRequest: refused, with the field and the reason.
            NotFound: there is no video with that id.
            NewerLibrary, DiskFull: nothing can be made here now.
        """
        self.may_change()
        task: Task = KINDS[kind].check(asked, self)
        self.must_have_room()
        return task

    def may_change(self) -> None:
        """Raises NewerLibrary: a newer studio wrote this library."""
        newer = self._library().newer
        if newer:
            raise NewerLibrary(newer)

    def must_have_room(self) -> None:
        """Raises DiskFull: less disk is free than `T2V_MIN_FREE_MB`."""
        free_mb = shutil.disk_usage(self._settings.data_dir).free // 10**6
        if free_mb < self._settings.min_free_mb:
            raise DiskFull(f"Only {free_mb:,} MB are free where the videos are stored ({self._settings.data_dir}); "
                           f"{self._settings.min_free_mb:,} MB must stay free. "
                           "Delete videos and empty the trash, or choose another folder with T2V_DATA_DIR.")

    def recipe(self, request: VideoRequest) -> Recipe:
        """The request as it will run.

        Raises:
            BadRequest: refused, with the field and the reason.
        """
        models = catalog(self._settings.models_dir)
        recipe = resolve(request, models, self._default_model())
        spec = find(models, recipe.model)
        if spec.needs_cuda and self._device() != "cuda":
            raise BadRequest("model", f"{spec.title} needs an NVIDIA GPU and this machine has none. "
                                      "Choose the demo model, or run the studio on a machine with a GPU.")
        self._planner.must_fit(recipe, spec)
        return recipe

    def origin(self, parent: str | None, relation: str) -> Origin | None:
        """The facts about `parent` that a video made from it stores."""
        return origin_of(self._library(), parent, relation)

    def video(self, video_id: str) -> Video:
        """A video of the library. Raises NotFound, DamagedVideo, ReadOnly."""
        return self._library().get(video_id)
