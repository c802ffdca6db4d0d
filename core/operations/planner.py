"""Forecasts about a request before it runs: words, examples, seconds, memory, and differences."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from core.domain.models import ModelSpec, find
from core.domain.modes import mode_of
from core.domain.recipe import Recipe, resolve
from core.domain.request import VideoRequest
from core.domain.resources import Resources, main_memory
from core.domain.video import Video
from core.errors import BadRequest, DoesNotFit, StudioError
from core.families import cost
from core.families.catalog import catalog, folder_on_disk
from core.families.family import Shape
from core.families.registry import family_of
from core.families.vocabulary import prompt_examples, unknown_words
from core.jobs.protocol import WorkerStatus
from core.library.library import Library
from core.library.search.query import Query
from core.planning.differences import Forecast, expected_causes
from core.planning.estimate import Estimate, PastRun, first_guess, in_words, loading, of_mode, seconds, what_changes
from core.planning.step_counts import extra_step
from core.settings import Settings, hub_cache

LOOKED_AT = 20
KNOWN_RUNS = 500


class Planner:
    """The forecasts of one studio: they read, and change nothing. Safe in threads."""

    def __init__(self, settings: Settings, worker: Callable[[], WorkerStatus | None],
                 library: Callable[[], Library], device: Callable[[], str]) -> None:
        """Each of these is asked again every time.

        Args:
            worker: the worker's last sign of life.
            library: the videos; another process may be the leader.
            device: "cuda" or "cpu", also before the worker has reported it.
        """
        self._settings = settings
        self._worker = worker
        self._library = library
        self._device = device
        self._runs: dict[str, tuple[str, PastRun] | None] = {}

    # About the model

    def foresee(self, video: Video) -> Forecast:
        """The expected differences between this machine and the one that made the video, before running it."""
        status = self._worker() or WorkerStatus()
        forecast = expected_causes(video.receipt, status.environment, status.warm, self._models())
        extra = extra_step(video.receipt, video.recipe.num_inference_steps) if video.recipe else ()
        return replace(forecast, causes=extra + forecast.causes)

    def unknown_words(self, model: str, prompt: str) -> tuple[str, ...]:
        """Words of the prompt that the model's own word list does not have; none where it ships no list."""
        return unknown_words(self._settings.models_dir, model, prompt)

    def prompt_examples(self, model: str) -> tuple[str, ...]:
        """Prompts that suit the model, to click."""
        return prompt_examples(self._settings.models_dir, find(self._models(), model))

    def is_on_disk(self, model: str) -> bool:
        """Whether a folder of the models directory, or the hub's cache, holds the model."""
        return self._folder(find(self._models(), model)) is not None

    # Time and memory

    def estimate(self, request: VideoRequest, times: int = 1,
                 num_inference_steps: int | None = None) -> Estimate | None:
        """Time and memory of a request. It does not have to be accepted yet.

        None if its numbers are not accepted, or if nothing is known about its model.

        Args:
            times: how many videos are made, one after the other, as by an audition.
            num_inference_steps: of each; None: the request's own.
        """
        models = self._models()
        try:
            full = resolve(replace(request, prompt=request.prompt or "-", seed=0), models)
        except BadRequest:
            return None
        spec = find(models, full.model)
        if not self._is_known(spec):
            return None
        status, needed = self._worker(), self._needed(full, spec)
        recipe = replace(full, num_inference_steps=num_inference_steps or full.num_inference_steps)
        work, warm = self._work(recipe, spec), bool(status and status.model == full.model)
        own = self.runs(full.model)
        load_s = 0.0 if warm else loading(own)
        resources = (status and status.resources) or Resources()
        tried = warm and resources.step_flops_per_s > 0
        runs = of_mode(own or (() if tried else self.runs(None)), full.mode)
        if runs:
            each = seconds(work, recipe.num_inference_steps, recipe.size.pixels, runs)
            return Estimate(times * each + load_s, load_s, needed, len(own))
        guess = first_guess(work, resources, self._device(), warm=warm)
        return Estimate(guess and times * guess, 0.0, needed, 0)

    def must_fit(self, recipe: Recipe, spec: ModelSpec) -> None:
        """Refuse a recipe that cannot fit into the memory of this machine.

        Raises:
            DoesNotFit: with the nearest recipe that fits. Never raised before the worker has reported its memory.
        """
        limit = self._limit()
        if not limit or not self._is_known(spec):
            return
        needed = self._needed(recipe, spec)
        if needed <= limit:
            return
        there = "this GPU has {} free" if self._device() == "cuda" else "this machine has {}"
        smaller = self._nearest(recipe, spec, limit)
        what = what_changes(recipe, smaller) if smaller else {}
        advice = f"{in_words(what)} would fit." if what else "Nothing it makes would; choose another model."
        raise DoesNotFit(f"{spec.title} needs {needed / 1e9:.1f} GB for {recipe.num_frames} frames of "
                         f"{recipe.width} × {recipe.height}, and {there.format(f'{limit / 1e9:.1f} GB')}. "
                         f"{advice}", what)

    def smaller(self, recipe: Recipe) -> Recipe | None:
        """The nearest recipe that is likely to fit where this one ran out of memory, or None.

        It fits what the machine has now, and holds at most half as much beside the model as this one.
        """
        spec = self._models().get(recipe.model)
        if spec is None:
            return None
        memory = self._shape(spec).memory(recipe.size, recipe.guided, self._device())
        return self._nearest(recipe, spec, cost.after_failure(memory, self._limit() or memory.needed()))

    def _nearest(self, recipe: Recipe, spec: ModelSpec, limit: int) -> Recipe | None:
        """The nearest recipe the model accepts that needs at most `limit` bytes.

        A clip of less than half the frames is farther away than a smaller picture of all of them.
        """
        shape, device, limits = self._shape(spec), self._device(), spec.limits
        found = cost.nearest_that_fits(recipe.size, shape.pixels_per_latent,
                                       lambda size: shape.memory(size, recipe.guided, device), device, limit)
        fitting = [recipe.of_size(size) for size in found if size.num_frames in limits.num_frames
                   and size.width in limits.width and size.height in limits.height]
        fitting = [one for one in fitting if self._needed(one, spec) <= limit]
        return min(fitting, key=lambda one: 2 * one.num_frames < recipe.num_frames, default=None)

    def errors(self, model: str, newest: int = 30) -> tuple[float, ...]:
        """The errors of the estimate for the last runs of a model, each estimated only from the runs before it.

        Returns:
            estimated / measured − 1 of each, the newest first; a run without any before it is left out.
        """
        runs = self.runs(model, newest + LOOKED_AT)
        return tuple(seconds(run.work, run.steps, run.pixels, of_mode(before, run.mode))
                     / (run.denoise_s + run.decode_s + run.encode_s) - 1
                     for place, run in enumerate(runs[:newest])
                     if (before := runs[place + 1:place + 1 + LOOKED_AT]))

    def _models(self) -> dict[str, ModelSpec]:
        return catalog(self._settings.models_dir)

    def _folder(self, spec: ModelSpec) -> Path | None:
        return folder_on_disk(self._settings.models_dir, hub_cache(), spec)

    def _is_known(self, spec: ModelSpec) -> bool:
        """Whether the model's configuration is here, or is that of a row that can be downloaded."""
        return spec.repo_id is not None or self._folder(spec) is not None

    def _shape(self, spec: ModelSpec) -> Shape:
        return family_of(spec).shape(self._folder(spec))

    def _work(self, recipe: Recipe, spec: ModelSpec) -> cost.Work:
        return self._shape(spec).work(recipe.size, recipe.num_inference_steps, recipe.guided)

    def _needed(self, recipe: Recipe, spec: ModelSpec) -> int:
        """The most bytes it will use: on a GPU in the memory mode that will be chosen."""
        device, chosen = self._device(), self._settings.memory
        memory = self._shape(spec).memory(recipe.size, recipe.guided, device)
        if device == "cpu":
            return memory.needed()
        if chosen == "auto":
            chosen = cost.memory_mode(memory, self._limit() or None) or cost.SEQUENTIAL_OFFLOAD
        return memory.needed(chosen)

    def _limit(self) -> int:
        """Bytes a job may use, 0 where unknown: the free memory of a GPU, or all of main memory."""
        status = self._worker()
        found = (status and status.resources) or Resources()
        return found.free_bytes if self._device() == "cuda" else found.total_bytes or main_memory()

    def runs(self, model: str | None, count: int = LOOKED_AT) -> tuple[PastRun, ...]:
        """The times this machine took for its last videos, newest first; with None, of any model.

        Before the worker has reported its device, the device of the newest video is assumed.
        """
        status, library = self._worker(), self._library()
        now = status and status.environment
        kept = (self._run(library, row.id) for row in library.search(Query(model=model, page_size=count)).entries)
        known = tuple(filter(None, kept))
        here = now.device_name if now is not None else known[0][0] if known else ""
        return tuple(run for device, run in known if device == here)

    def _run(self, library: Library, video_id: str) -> tuple[str, PastRun] | None:
        """The device that made a video, and its times; None where they are not known."""
        if video_id not in self._runs:
            try:
                video = library.get(video_id)
            except StudioError:
                return None  # it was deleted by another process, or is damaged
            self._runs[video_id] = self._past_run(video)
            for oldest in list(self._runs)[:-KNOWN_RUNS]:
                self._runs.pop(oldest, None)
        return self._runs[video_id]

    def _past_run(self, video: Video) -> tuple[str, PastRun] | None:
        recipe, took = video.recipe, video.runtime
        if recipe is None or took.denoise_s <= 0:
            return None
        spec = self._models().get(recipe.model)
        if spec is None:
            return None
        run = PastRun(self._work(recipe, spec), recipe.num_inference_steps, recipe.size.pixels, took.denoise_s,
                      took.decode_s, took.encode_s, took.load_s, mode_of(recipe.mode).key)
        return video.receipt.environment.device_name, run
