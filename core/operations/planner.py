"""What a studio says of a request before it runs: words, examples, seconds, memory, and what would differ."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from core.domain.audition import Audition
from core.domain.models import ModelSpec, find
from core.domain.modes import mode_of
from core.domain.request import VideoRequest, resolve
from core.domain.resources import Resources, main_memory
from core.domain.video import Video
from core.errors import BadRequest, DoesNotFit, StudioError
from core.families.catalog import catalog, folder_on_disk
from core.families.unet3d import cost
from core.families.unet3d.shape import Architecture, architecture
from core.families.vocabulary import prompt_examples, unknown_words
from core.jobs.protocol import WorkerStatus
from core.library.library import Library
from core.library.search.query import Query
from core.planning.differences import Forecast, expected_causes
from core.planning.estimate import (
    Estimate,
    PastRun,
    first_guess,
    in_words,
    loading,
    of_mode,
    seconds,
    what_changes,
)
from core.settings import Settings, hub_cache

LOOKED_AT = 20
KNOWN_RUNS = 500


class Planner:
    """The forecasts of one studio: they read, and change nothing. Safe in threads."""

    def __init__(self, settings: Settings, worker: Callable[[], WorkerStatus | None],
                 library: Callable[[], Library], device: Callable[[], str]) -> None:
        """Each of these is asked anew every time.

        Args:
            worker: the worker's last sign of life.
            library: the videos; another process may lead.
            device: "cuda" or "cpu", also while the worker has not said.
        """
        self._settings = settings
        self._worker = worker
        self._library = library
        self._device = device
        self._runs: dict[str, tuple[str, PastRun] | None] = {}
        self._architectures: dict[Path | None, Architecture] = {}

    # What the model knows

    def foresee(self, video_id: str) -> Forecast:
        """What this machine would do differently from the one that made the video, before running it."""
        status = self._worker()
        return expected_causes(self._library().get(video_id).receipt, status and status.environment,
                               status and status.warm, self._models())

    def unknown_words(self, model: str, prompt: str) -> tuple[str, ...]:
        """Words of the prompt that the model's own word list does not have; none where it ships no list."""
        return unknown_words(self._settings.models_dir, model, prompt)

    def prompt_examples(self, model: str) -> tuple[str, ...]:
        """Prompts that suit the model, to click."""
        return prompt_examples(self._settings.models_dir, find(self._models(), model))

    def is_on_disk(self, model: str) -> bool:
        """Whether a folder of the models directory, or the hub's cache, holds the model."""
        return self._folder(find(self._models(), model)) is not None

    # What it will take

    def estimate(self, request: VideoRequest, audition: Audition | None = None) -> Estimate | None:
        """Time and memory of a request that need not be resolved.

        None where its numbers are not accepted, or nothing is known of its model.

        Args:
            audition: of its short runs instead.
        """
        try:
            full = resolve(replace(request, prompt=request.prompt or "-", seed=0), self._models())
        except BadRequest:
            return None
        if not self._is_known(full.model):
            return None
        status, needed = self._worker(), self._needed(full)
        count = len(audition.seeds) if audition else 1
        one = replace(full, num_inference_steps=audition.num_inference_steps) if audition else full
        work, pixels = self._work(one), one.num_frames * one.width * one.height
        own = self.runs(full.model)
        load_s = loading(own) if status is None or status.model != full.model else 0.0
        resources, warm = (status and status.resources) or Resources(), bool(status and status.model == full.model)
        tried = warm and resources.step_flops_per_s > 0
        runs = of_mode(own or (() if tried else self.runs(None)), full.mode)
        if runs:
            each = seconds(work, one.num_inference_steps, pixels, runs)
            return Estimate(count * each + load_s, load_s, needed, len(own))
        each = first_guess(work, resources, self._device(), warm=warm)
        return Estimate(each and count * each, 0.0, needed, 0)

    def must_fit(self, request: VideoRequest) -> None:
        """Refuse a resolved request that cannot fit into the memory of this machine.

        Raises:
            DoesNotFit: with the nearest request that does; never while the worker has not said what there is.
        """
        limit, needed = self._limit(), self._needed(request)
        if not limit or needed <= limit or not self._is_known(request.model):
            return
        spec = find(self._models(), request.model)
        there = "this GPU has {} free" if self._device() == "cuda" else "this machine has {}"
        smaller = self._nearest(request, spec, limit)
        what = what_changes(request, smaller) if smaller else {}
        advice = f"{in_words(what)} would fit." if what else "Nothing it makes would; choose another model."
        raise DoesNotFit(f"{spec.title} needs {needed / 1e9:.1f} GB for {request.num_frames} frames of "
                         f"{request.width} × {request.height}, and {there.format(f'{limit / 1e9:.1f} GB')}. "
                         f"{advice}", what)

    def smaller(self, request: VideoRequest) -> VideoRequest | None:
        """The nearest request that is likely to fit where this one ran out of memory, or None.

        It fits what the machine has now, and holds at most half as much beside the model as this one.
        """
        models = self._models()
        if request.model not in models:
            return None
        memory = self._memory(request)
        limit = cost.after_failure(memory, self._limit() or memory.needed())
        return self._nearest(request, models[request.model], limit)

    def _nearest(self, request: VideoRequest, spec: ModelSpec, limit: int) -> VideoRequest | None:
        """The nearest request the model accepts that needs at most `limit` bytes.

        A clip of less than half the frames is farther away than a smaller picture of all of them.
        """
        found = [replace(request, num_frames=frames, height=height, width=width)
                 for frames, height, width in cost.nearest_that_fits(
                     self._architecture(spec.key), request.num_frames, request.height, request.width,
                     request.guidance_scale, self._device(), limit)]
        limits = spec.limits
        fitting = [one for one in found if one.num_frames in limits.num_frames and one.width in limits.width
                   and one.height in limits.height and self._needed(one) <= limit]
        return min(fitting, key=lambda one: 2 * one.num_frames < request.num_frames, default=None)

    def errors(self, model: str, newest: int = 30) -> tuple[float, ...]:
        """How far the estimate was off for the last runs of a model, each told only what came before it.

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

    def _is_known(self, model: str) -> bool:
        """Whether the model's configuration is here, or is that of a row that can be downloaded."""
        spec = find(self._models(), model)
        return spec.repo_id is not None or self._folder(spec) is not None

    def _architecture(self, model: str) -> Architecture:
        spec = self._models().get(model)
        folder = self._folder(spec) if spec is not None else None
        if folder not in self._architectures:
            self._architectures[folder] = architecture(folder)
        return self._architectures[folder]

    def _work(self, request: VideoRequest) -> cost.Work:
        return cost.work(self._architecture(request.model), request.num_frames, request.height, request.width,
                         request.num_inference_steps, request.guidance_scale)

    def _memory(self, request: VideoRequest) -> cost.Memory:
        return cost.memory(self._architecture(request.model), request.num_frames, request.height, request.width,
                           request.guidance_scale, self._device())

    def _needed(self, request: VideoRequest) -> int:
        """The most bytes it will use: on a GPU in the memory mode that will be chosen."""
        memory, chosen = self._memory(request), self._settings.memory
        if self._device() == "cpu":
            return memory.needed()
        if chosen == "auto":
            chosen = cost.memory_mode(memory, self._limit() or None) or cost.SEQUENTIAL_OFFLOAD
        return memory.needed(chosen)

    def _limit(self) -> int:
        """Bytes a job may use, 0 where unknown: of a GPU what is free, of main memory all of it."""
        status = self._worker()
        found = (status and status.resources) or Resources()
        return found.free_bytes if self._device() == "cuda" else found.total_bytes or main_memory()

    def runs(self, model: str | None, count: int = LOOKED_AT) -> tuple[PastRun, ...]:
        """What this machine took for its last videos, the newest first; of any model with None.

        While the worker has not said which device it has, it is taken to be that of the newest video.
        """
        status, library = self._worker(), self._library()
        now = status and status.environment
        kept = (self._run(library, row.id) for row in library.search(Query(model=model, page_size=count)).entries)
        known = tuple(filter(None, kept))
        here = now.device_name if now is not None else known[0][0] if known else ""
        return tuple(run for device, run in known if device == here)

    def _run(self, library: Library, video_id: str) -> tuple[str, PastRun] | None:
        """The device that made a video, and what it took; None where that is not known."""
        if video_id not in self._runs:
            try:
                video = library.get(video_id)
            except StudioError:
                return None  # gone or damaged meanwhile
            self._runs[video_id] = _run_of(video, self._work(video.request)) if video.recipe else None
            for oldest in list(self._runs)[:-KNOWN_RUNS]:
                self._runs.pop(oldest, None)
        return self._runs[video_id]


def _run_of(video: Video, work: cost.Work) -> tuple[str, PastRun] | None:
    result, took = video.result, video.runtime
    if took.denoise_s <= 0:
        return None
    pixels = result.num_frames * result.width * result.height
    run = PastRun(work, video.request.num_inference_steps, pixels, took.denoise_s, took.decode_s, took.encode_s,
              took.load_s, mode_of(video.request.mode).key)
    return video.receipt.environment.device_name, run
