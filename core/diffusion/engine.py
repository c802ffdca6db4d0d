"""The whole way from a request to frames, with the model kept warm between requests."""

import gc
import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from core.diffusion import capacity, hub, noise, placement, sampler
from core.diffusion import device as devices
from core.diffusion.failures import meaning
from core.diffusion.frames import check_finite, check_not_flat, decode
from core.diffusion.loop_state import LoopState, StateOrigin, pack, unpack
from core.diffusion.report import ProgressReport
from core.diffusion.unet3d import loader
from core.diffusion.unet3d.embedding import embed
from core.diffusion.unet3d.graphs import Graphed, Record
from core.diffusion.unet3d.network import Network, lay_out
from core.diffusion.unet3d.prediction import Prediction, Reference, planned, rehearse
from core.domain.models import find
from core.domain.modes import REFERENCE_PIXELS, mode_of
from core.domain.progress import OnCheckpoint, OnFrames, OnProgress
from core.domain.receipt import Environment, LoadedModel, Receipt
from core.domain.request import VideoRequest, resolve
from core.domain.resources import Resources
from core.domain.video import Runtime
from core.errors import BadRequest, ModelUnavailable, OutOfMemory, StudioError
from core.families.catalog import catalog
from core.families.unet3d import cost
from core.settings import Settings


@dataclass(frozen=True)
class Generation:
    """What a request became.

    Attributes:
        frames: (F, H, W, 3) uint8, contiguous.
        runtime: of loading, denoising and decoding; queued_s and encode_s are others' to fill in.
        notes: what the person should know, one sentence each; usually empty.
    """

    frames: np.ndarray
    receipt: Receipt
    runtime: Runtime
    notes: tuple[str, ...] = ()


class Engine:
    """One model at a time, on one device. Not thread-safe: one thread uses it."""

    def __init__(self, settings: Settings, place: hub.Hub = hub.HUB, record: Record | None = None) -> None:
        """Touches no device yet; the first `load`, `generate` or `environment` does.

        Args:
            record: how steps are recorded, to be replayed; None: on a GPU as CUDA graphs, on a processor not.
        """
        self._settings = settings
        self._place = place
        self._record = record
        self._pipeline: loader.Pipeline | None = None
        self._graphed: Graphed | None = None
        self._step_flops_per_s = 0.0
        self._log = logging.getLogger(__name__)
        devices.quiet()

    @property
    def loaded(self) -> str:
        """The key of the model that is warm, or ""."""
        return self._pipeline.spec.key if self._pipeline else ""

    @property
    def warm(self) -> LoadedModel | None:
        """What the warm model puts into receipts."""
        return self._pipeline.loaded_model if self._pipeline else None

    def environment(self) -> Environment:
        """What this machine contributes to a receipt. Raises ModelUnavailable: CUDA is asked for and not there."""
        return devices.environment(devices.device_of(self._settings))

    def resources(self) -> Resources:
        """What the device has to offer now. The first call measures its speed, in some 10 ms."""
        found = capacity.resources(devices.device_of(self._settings))
        return replace(found, step_flops_per_s=self._step_flops_per_s)

    def load(self, key: str, on_progress: OnProgress) -> None:
        """Make a model warm; the one that was is let go first. Nothing happens if it is warm already.

        Raises:
            BadRequest, ModelUnavailable, OutOfMemory, WorkerLost, Cancelled: none is warm then.
        """
        if self.loaded == key:
            return
        spec = find(catalog(self._settings.models_dir), key)
        try:
            self.unload()
            self._pipeline = loader.load(spec, self._settings, on_progress, self._place)
            return
        except (RuntimeError, MemoryError) as error:
            failure = meaning(error, f"loading {spec.title}")
            if failure is None:
                raise
            self._log.exception("Loading %s failed", key)
        # The except block is left: the traceback, and the tensors it held, are gone, and can be given back.
        if isinstance(failure, OutOfMemory):
            self._give_back()
        raise failure

    def unload(self) -> None:
        """Let go of the warm model and its memory."""
        if self._pipeline is not None:
            self._pipeline = self._graphed = None
            self._step_flops_per_s = 0.0
            self._give_back()

    def prepare(self, alive: Callable[[], None]) -> None:
        """Try a step of the warm model at its own size: `resources` then says how fast it is. Where steps are
        recorded, the first video need not wait for that any more. What goes wrong is a line in the log.

        Nothing is tried where the weights are not all on the device, or a step would take long.

        Args:
            alive: called now and then; what it raises ends this at once.
        """
        pipeline = self._pipeline
        if pipeline is None:
            return
        request = resolve(VideoRequest("a", model=pipeline.spec.key, seed=0), {pipeline.spec.key: pipeline.spec})
        flops = capacity.to_be_tried(pipeline.folder, request, pipeline.device)
        if not flops or self._memory_mode(pipeline, request) != cost.RESIDENT:
            return
        try:
            with torch.inference_mode():
                self._lay_out(pipeline, request, cost.RESIDENT)
                drawn = self._draw(pipeline, request).to(pipeline.device, pipeline.dtype)
                network = self._network(pipeline, request, drawn, cost.RESIDENT, placement.here)
                took_s = rehearse(network, request, drawn, embed(pipeline, request)[0], alive)
            self._step_flops_per_s = flops / took_s
        except (RuntimeError, StudioError):
            self._log.exception("A step of %s could not be tried beforehand", pipeline.spec.title)
            self._give_back()

    def generate(self, request: VideoRequest, on_progress: OnProgress, checkpoint: bytes = b"",
                 on_checkpoint: OnCheckpoint = lambda step, make: None,
                 on_frames: OnFrames = lambda frames: None) -> Generation:
        """Make the frames of a resolved request.

        Args:
            on_progress: called when loading, after every step and every few decoded frames; what it raises ends
                the work there and leaves the engine warm and usable.
            checkpoint: go on from there, which makes the same frames; one that is damaged or was made with
                anything else than the same request, weights and machine is not used, and a note says so.
            on_checkpoint: called after every step, to make a checkpoint or not.
            on_frames: given the frames as they are decoded; what it raises ends the work too.

        Raises:
            BadRequest: a size this model cannot make.
            ModelUnavailable, OutOfMemory, InvalidFrames, WorkerLost: with what to do.
            Cancelled: from `on_progress`.
        """
        started = time.perf_counter()
        self.load(request.model, on_progress)
        load_s = time.perf_counter() - started
        try:
            with torch.inference_mode():
                made = self._make(request, on_progress, checkpoint, on_checkpoint, on_frames)
            total_s = load_s + made.runtime.denoise_s + made.runtime.decode_s
            return replace(made, runtime=replace(made.runtime, load_s=load_s, total_s=total_s))
        except (RuntimeError, MemoryError) as error:
            failure = meaning(error, f"making {request.num_frames} frames of {request.width}×{request.height}")
            if failure is None:
                raise
            self._log.exception("Generating failed")
        if isinstance(failure, OutOfMemory):
            self._give_back()
            pipeline = self._pipeline
            failure = OutOfMemory(f"{failure}{capacity.offers(pipeline.folder, request, pipeline.device)}")
        raise failure

    def _make(self, request: VideoRequest, on_progress: OnProgress, checkpoint: bytes,
              on_checkpoint: OnCheckpoint, on_frames: OnFrames) -> Generation:
        pipeline = self._pipeline
        assert pipeline is not None
        devices.reset_peak_memory(pipeline.device)
        started = time.perf_counter()
        drawn = self._draw(pipeline, request)
        mode = mode_of(request.mode)
        memory_mode = self._memory_mode(pipeline, request)
        self._lay_out(pipeline, request, memory_mode)
        around = placement.here if memory_mode == cost.RESIDENT else placement.visiting(pipeline.device)
        with around(pipeline.text_encoder):
            embeds, notes = embed(pipeline, request)
        scheduler = self._scheduler(pipeline, request.scheduler)
        environment = replace(devices.environment(pipeline.device), memory_mode=memory_mode)
        origin = StateOrigin(request, pipeline.weights_sha256, sampler.config_of(scheduler), environment,
                        mode.document(environment.device))
        state, remark = unpack(checkpoint, origin, pipeline.device) if checkpoint else (None, "")
        if state is not None:
            if state.step:
                remark = f"Continued after step {state.step} of {request.num_inference_steps}."
            started -= state.elapsed_s

        def on_state(reached: LoopState) -> None:
            elapsed_s = time.perf_counter() - started
            on_checkpoint(reached.step, lambda: pack(replace(reached, elapsed_s=elapsed_s), origin))

        report = ProgressReport(pipeline, on_progress, on_frames)
        layers = memory_mode == cost.SEQUENTIAL_OFFLOAD
        with placement.here() if layers else around(pipeline.unet):
            noisy = drawn.to(pipeline.device, pipeline.dtype)
            predict: Prediction = Reference(pipeline.unet, embeds, request.guidance_scale)
            if mode.network:
                network = self._network(pipeline, request, noisy, memory_mode, around)
                predict = planned(network, request, embeds)
            latents = sampler.denoise(predict, scheduler, noisy, request.num_inference_steps, report.step,
                                      on_state, state)
        check_finite(latents)
        peak_bytes = devices.peak_memory_bytes(pipeline.device)
        devices.reset_peak_memory(pipeline.device)
        denoised = time.perf_counter()
        report.decoding(latents)
        with around(pipeline.vae):
            pixels = None if mode.network else REFERENCE_PIXELS
            frames = decode(pipeline, latents, report.decoded, pixels)
        check_not_flat(frames)
        decoded = time.perf_counter()
        receipt = Receipt(
            noise_sha256=noise.sha256(drawn), frames_sha256=hashlib.sha256(frames).hexdigest(),
            **vars(pipeline.loaded_model), scheduler_config=origin.scheduler_config,
            environment=origin.environment, method=origin.method)
        runtime = Runtime(denoise_s=denoised - started, decode_s=decoded - denoised,
                          peak_memory_bytes=max(peak_bytes, devices.peak_memory_bytes(pipeline.device) + (
                              self._graphed.nbytes if self._graphed else 0)))  # these are not counted as allocated
        notes = (*notes, *filter(None, [remark]))
        return Generation(frames, receipt, runtime, notes)

    def _lay_out(self, pipeline: loader.Pipeline, request: VideoRequest, memory_mode: str) -> None:
        """Prepare the parts for a mode, and put their weights where the memory mode wants them."""
        laid_out = mode_of(request.mode).network
        if not laid_out or memory_mode != cost.RESIDENT:
            self._graphed = None  # the weights move, and a recording knows where they were
        for part in (pipeline.unet, pipeline.vae):
            lay_out(part, laid_out)
        for part in (pipeline.text_encoder, pipeline.unet, pipeline.vae):
            placement.rest_on(part, pipeline.device if memory_mode == cost.RESIDENT else torch.device("cpu"))

    def _records(self, pipeline: loader.Pipeline) -> bool:
        return self._record is not None or pipeline.device.type == "cuda"

    def _network(self, pipeline: loader.Pipeline, request: VideoRequest, latents: torch.Tensor, memory_mode: str,
                 around: placement.Around) -> Network | Graphed:
        network = Network(pipeline.unet, around if memory_mode == cost.SEQUENTIAL_OFFLOAD else placement.here)
        if memory_mode != cost.RESIDENT or not self._records(pipeline):
            return network
        needs = placement.needs(pipeline.folder, request, pipeline.device)
        # a recording holds what a step needs while frames are decoded, too
        spare = (placement.free_bytes(pipeline.device) or 0) - needs.needed() - needs.decoding
        if spare < 0:
            self._graphed = None
            self._log.warning("Steps are not recorded: %.1f GB of memory are missing for it", -spare / 1e9)
            return network
        self._graphed = self._graphed or Graphed(network, self._record)
        self._graphed.make_room(latents.shape, spare)
        return self._graphed

    def _memory_mode(self, pipeline: loader.Pipeline, request: VideoRequest) -> str:
        """Where the weights are to be: as the settings say, or as the free memory of a GPU allows."""
        chosen = self._settings.memory
        if chosen == "auto":
            free = placement.free_bytes(pipeline.device) if pipeline.device.type == "cuda" else None
            needs = placement.needs(pipeline.folder, request, pipeline.device)
            chosen = cost.memory_mode(needs, free) or cost.SEQUENTIAL_OFFLOAD  # the estimate may be wrong: try
        if chosen == cost.SEQUENTIAL_OFFLOAD and not mode_of(request.mode).network:
            return cost.MODEL_OFFLOAD  # the library's forward is one piece
        return chosen

    def _draw(self, pipeline: loader.Pipeline, request: VideoRequest) -> torch.Tensor:
        factor = pipeline.pixels_per_latent
        for name in ("width", "height"):
            if getattr(request, name) % factor:
                raise BadRequest(name, f"{getattr(request, name)} is not a multiple of {factor}, as "
                                       f"{pipeline.spec.title} needs.")
        return noise.draw(request.seed, request.num_frames, pipeline.unet.config.in_channels,
                          request.height // factor, request.width // factor)

    def _scheduler(self, pipeline: loader.Pipeline, key: str) -> object:
        try:
            return sampler.scheduler(key, pipeline.scheduler_config)
        except (ValueError, TypeError, NotImplementedError) as error:
            raise ModelUnavailable(f"The scheduler configuration of {pipeline.spec.title} cannot be used with "
                                   f"{key} ({error}). Choose another scheduler.") from error

    def _give_back(self) -> None:
        self._graphed = None  # its recordings hold their activations
        gc.collect()
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
