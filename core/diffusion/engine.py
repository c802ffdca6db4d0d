"""The complete way from a recipe to frames. The model stays warm between recipes."""

import gc
import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from core.diffusion import capacity, hub, loader, noise, placement, sampler
from core.diffusion import device as devices
from core.diffusion.failures import meaning
from core.diffusion.frames import check_finite, check_not_flat
from core.diffusion.loop_state import LoopState, StateOrigin, pack, unpack
from core.diffusion.model import Model
from core.diffusion.registry import LOADERS
from core.diffusion.report import ProgressReport
from core.domain.models import find
from core.domain.modes import mode_of
from core.domain.progress import OnCheckpoint, OnFrames, OnProgress
from core.domain.receipt import Environment, LoadedModel, Receipt
from core.domain.recipe import Recipe, resolve
from core.domain.request import VideoRequest
from core.domain.resources import Resources
from core.domain.video import Runtime
from core.errors import ModelUnavailable, OutOfMemory, StudioError
from core.families import cost
from core.families.catalog import catalog
from core.families.registry import family_of
from core.settings import Settings


@dataclass(frozen=True)
class Generation:
    """The result of a recipe.

    Attributes:
        frames: (F, H, W, 3) uint8, contiguous.
        runtime: of loading, denoising and decoding; the caller fills in queued_s and encode_s.
        notes: facts that the person should know, one sentence each; usually empty.
    """

    frames: np.ndarray
    receipt: Receipt
    runtime: Runtime
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Calls:
    """The functions that the engine calls while it makes a video; see `core.domain.progress`."""

    on_progress: OnProgress
    on_checkpoint: OnCheckpoint = lambda step, make: None
    on_frames: OnFrames = lambda frames: None


class Engine:
    """One model at a time, on one device. Not thread-safe: one thread uses it."""

    def __init__(self, settings: Settings, place: hub.Hub = hub.HUB,
                 loaders: dict[str, Callable[[loader.Found], Model]] = LOADERS) -> None:
        """Prepare the engine. The first `load`, `generate` or `environment` touches the device.

        Args:
            loaders: for each family, the function that loads a model of it.
        """
        self._settings = settings
        self._place = place
        self._loaders = loaders
        self._model: Model | None = None
        self._step_flops_per_s = 0.0
        self._log = logging.getLogger(__name__)
        devices.quiet()

    @property
    def loaded(self) -> str:
        """The key of the warm model, or ""."""
        return self._model.source.spec.key if self._model else ""

    @property
    def warm(self) -> LoadedModel | None:
        """The part of a receipt that the warm model decides."""
        return self._model.source.loaded_model if self._model else None

    def environment(self) -> Environment:
        """The part of a receipt that this machine decides. Raises ModelUnavailable: the CUDA device is missing."""
        return devices.environment(devices.device_of(self._settings))

    def resources(self) -> Resources:
        """The present capacity of the device. The first call measures its speed, in about 10 ms."""
        found = capacity.resources(devices.device_of(self._settings))
        return replace(found, step_flops_per_s=self._step_flops_per_s)

    def load(self, key: str, on_progress: OnProgress) -> None:
        """Make a model warm. The former warm model is released first. Nothing happens if it is warm already.

        Raises:
            BadRequest, ModelUnavailable, OutOfMemory, WorkerLost, Cancelled: no model is warm afterwards.
        """
        if self.loaded == key:
            return
        spec = find(catalog(self._settings.models_dir), key)
        try:
            self.unload()
            found = loader.find(spec, self._settings, on_progress, self._place)
            self._model = self._loaders[spec.family](found)
            return
        except (RuntimeError, MemoryError) as error:
            failure = meaning(error, f"loading {spec.title}")
            if failure is None:
                raise
            self._log.exception("Loading %s failed", key)
        # After the except block the traceback is gone, and so are its references: the memory can be freed.
        if isinstance(failure, OutOfMemory):
            self._give_back()
        raise failure

    def unload(self) -> None:
        """Release the warm model and its memory."""
        if self._model is not None:
            self._model = None
            self._step_flops_per_s = 0.0
            self._give_back()

    def prepare(self, alive: Callable[[], None]) -> None:
        """Try one step of the warm model at its default size. `resources` then includes its speed.

        If steps are recorded, the first video does not wait for the recording. Failures only go to the log. Nothing
        is tried if some weights are not on the device, or if a step would take long.

        Args:
            alive: called from time to time; an error that it raises stops the trial at once.
        """
        model = self._model
        if model is None:
            return
        spec, device = model.source.spec, model.source.device
        recipe = resolve(VideoRequest("a", model=spec.key, seed=0), {spec.key: spec})
        flops = capacity.to_be_tried(model.shape, recipe, device)
        if not flops or self._memory_mode(model, recipe) != cost.RESIDENT:
            return
        try:
            with torch.inference_mode():
                self._arrange(model, recipe, cost.RESIDENT)
                drawn = noise.draw(recipe.seed, *model.latents_of(recipe.size)).to(device, model.source.dtype)
                took_s = model.rehearse(recipe, drawn, alive)
            self._step_flops_per_s = flops / took_s
        except (RuntimeError, StudioError):
            self._log.exception("A step of %s could not be tried beforehand", spec.title)
            self._give_back()

    def generate(self, recipe: Recipe, on_progress: OnProgress, checkpoint: bytes = b"",
                 on_checkpoint: OnCheckpoint = lambda step, make: None,
                 on_frames: OnFrames = lambda frames: None) -> Generation:
        """Make the frames of a recipe.

        Args:
            on_progress: called during loading, after every step and every few decoded frames. An error that it
                raises stops the work there; the engine stays warm and usable.
            checkpoint: where to resume; the frames are the same. It is not used if it is damaged, or was made with
                another recipe, other weights or another machine; a note then explains it.
            on_checkpoint: called after every step; it may make a checkpoint.
            on_frames: receives the frames as they are decoded. An error that it raises also stops the work.

        Raises:
            BadRequest: this model cannot make the size.
            ModelUnavailable, OutOfMemory, InvalidFrames, WorkerLost: the text tells what to do.
            Cancelled: from `on_progress`.
        """
        started = time.perf_counter()
        self.load(recipe.model, on_progress)
        load_s = time.perf_counter() - started
        try:
            with torch.inference_mode():
                made = self._make(recipe, Calls(on_progress, on_checkpoint, on_frames), checkpoint)
            total_s = load_s + made.runtime.denoise_s + made.runtime.decode_s
            return replace(made, runtime=replace(made.runtime, load_s=load_s, total_s=total_s))
        except (RuntimeError, MemoryError) as error:
            failure = meaning(error, f"making {recipe.num_frames} frames of {recipe.width}×{recipe.height}")
            if failure is None:
                raise
            self._log.exception("Generating failed")
        if isinstance(failure, OutOfMemory):
            self._give_back()
            failure = OutOfMemory(f"{failure}{self._offers(recipe)}")
        raise failure

    def _make(self, recipe: Recipe, calls: Calls, checkpoint: bytes) -> Generation:
        model = self._model
        assert model is not None
        device, mode = model.source.device, mode_of(recipe.mode)
        devices.reset_peak_memory(device)
        started = time.perf_counter()

        # 1. noise from the seed
        drawn = noise.draw(recipe.seed, *model.latents_of(recipe.size))

        # 2. the weights in their place
        memory_mode = self._memory_mode(model, recipe)
        self._arrange(model, recipe, memory_mode)
        around = placement.here if memory_mode == cost.RESIDENT else placement.visiting(device)

        # 3. the prompts
        with around(model.parts.text_encoder):
            embeds, notes = model.embed(recipe)

        # 4. where the loop begins: at the noise, or at the checkpoint
        scheduler = self._scheduler(model, recipe.scheduler)
        environment = replace(devices.environment(device), memory_mode=memory_mode)
        origin = StateOrigin(recipe, model.source.weights_sha256, sampler.config_of(scheduler), environment,
                             family_of(model.source.spec).method(mode, environment.device))
        state, remark = unpack(checkpoint, origin, device) if checkpoint else (None, "")
        if state is not None:
            if state.step:
                remark = f"Continued after step {state.step} of {recipe.num_inference_steps}."
            started -= state.elapsed_s

        def on_state(reached: LoopState) -> None:
            elapsed_s = time.perf_counter() - started
            calls.on_checkpoint(reached.step, lambda: pack(replace(reached, elapsed_s=elapsed_s), origin))

        # 5. the loop
        report = ProgressReport(model, recipe.size, calls.on_progress, calls.on_frames)
        with placement.here() if memory_mode == cost.SEQUENTIAL_OFFLOAD else around(model.parts.denoiser):
            noisy = drawn.to(device, model.source.dtype)
            predict = model.predict(recipe, embeds, noisy, memory_mode, around)
            latents = sampler.denoise(predict, scheduler, noisy, recipe.num_inference_steps, report.step,
                                      on_state, state)
        check_finite(latents)
        peak_bytes = devices.peak_memory_bytes(device)
        devices.reset_peak_memory(device)
        denoised = time.perf_counter()

        # 6. frames
        report.decoding(latents)
        with around(model.parts.decoder):
            frames = model.decode(latents, mode, report.decoded)
        check_not_flat(frames)
        decoded = time.perf_counter()

        # 7. the record of the run
        receipt = Receipt(
            noise_sha256=noise.sha256(drawn), frames_sha256=hashlib.sha256(frames.data).hexdigest(),
            **vars(model.source.loaded_model), scheduler_config=origin.scheduler_config,
            environment=origin.environment, method=origin.method)
        peak_bytes = max(peak_bytes, devices.peak_memory_bytes(device) + model.recorded_bytes)
        runtime = Runtime(denoise_s=denoised - started, decode_s=decoded - denoised, peak_memory_bytes=peak_bytes)
        return Generation(frames, receipt, runtime, (*notes, *filter(None, [remark])))

    def _arrange(self, model: Model, recipe: Recipe, memory_mode: str) -> None:
        """Prepare the parts for the recipe's mode, and place their weights as the memory mode demands."""
        model.arrange(mode_of(recipe.mode), memory_mode)
        for part in model.parts.all():
            placement.rest_on(part, model.source.device if memory_mode == cost.RESIDENT else torch.device("cpu"))

    def _memory_mode(self, model: Model, recipe: Recipe) -> str:
        """Where the weights shall be: as the settings demand, or as the free memory of a GPU allows."""
        chosen, device = self._settings.memory, model.source.device
        if chosen == "auto":
            free = placement.free_bytes(device) if device.type == "cuda" else None
            needs = model.shape.memory(recipe.size, recipe.guided, device.type)
            chosen = cost.memory_mode(needs, free) or cost.SEQUENTIAL_OFFLOAD  # the estimate may be wrong: try
        if chosen == cost.SEQUENTIAL_OFFLOAD and not model.works_layer_by_layer(mode_of(recipe.mode)):
            return cost.MODEL_OFFLOAD
        return chosen

    def _scheduler(self, model: Model, key: str) -> object:
        spec = model.source.spec
        try:
            return sampler.scheduler(family_of(spec).schedulers[key], model.scheduler_config)
        except (ValueError, TypeError, NotImplementedError) as error:
            raise ModelUnavailable(f"The scheduler configuration of {spec.title} cannot be used with "
                                   f"{key} ({error}). Choose another scheduler.") from error

    def _offers(self, recipe: Recipe) -> str:
        model = self._model
        return capacity.offers(model.shape, recipe, model.source.device) if model else ""

    def _give_back(self) -> None:
        if self._model is not None:
            self._model.forget_recordings()  # they hold their activations
        gc.collect()
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
