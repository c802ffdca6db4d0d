"""The whole way from a request to frames, with the model kept warm between requests."""

import gc
import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from core.diffusion import device as devices
from core.diffusion import hub, loader, noise, preview, sampler
from core.diffusion.failures import meaning
from core.diffusion.loop_state import LoopState, Origin, pack, unpack
from core.errors import BadRequest, InvalidFrames, ModelUnavailable, OutOfMemory
from core.models import NEGATIVE_PROMPT, catalog, find
from core.progress import OnCheckpoint, OnProgress, Progress
from core.receipt import Environment, LoadedModel, Receipt
from core.request import VideoRequest
from core.settings import Settings
from core.video import Runtime

PREVIEW_INTERVAL_S = 0.25
PREVIEW_COST = 50
"""A preview is made at most every `PREVIEW_INTERVAL_S`, and not before this many times its own cost has passed."""

DECODED_PIXELS = 1 << 18
"""About how many pixels the VAE decodes at once: its activations are the peak of memory, some 4 kB a pixel."""

FLAT_LEVELS = 2
"""A clip whose values stay within this many of 255 levels shows nothing."""


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

    def __init__(self, settings: Settings, place: hub.Hub = hub.HUB) -> None:
        """Touches no device yet; the first `load`, `generate` or `environment` does."""
        self._settings = settings
        self._place = place
        self._pipeline: loader.Pipeline | None = None
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
        """What this machine contributes to a receipt.

        Raises:
            ModelUnavailable: CUDA is asked for and not there.
        """
        return devices.environment(devices.device_of(self._settings))

    def load(self, key: str, on_progress: OnProgress) -> None:
        """Make a model warm; the one that was is let go first. Nothing happens if it is warm already.

        Raises:
            BadRequest, ModelUnavailable, OutOfMemory, WorkerLost, Cancelled: none is warm then.
        """
        if self.loaded == key:
            return
        spec = find(catalog(self._settings.models_dir), key)
        self.unload()
        try:
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
            self._pipeline = None
            self._give_back()

    def generate(self, request: VideoRequest, on_progress: OnProgress, checkpoint: bytes = b"",
                 on_checkpoint: OnCheckpoint = lambda step, make: None) -> Generation:
        """Make the frames of a resolved request.

        Args:
            on_progress: called when loading, after every step and every decoded frame; what it raises ends the
                work there and leaves the engine warm and usable.
            checkpoint: go on from there, which makes the same frames; one that is damaged or was made with
                anything else than the same request, weights and machine is not used, and a note says so.
            on_checkpoint: called after every step, to make a checkpoint or not.

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
                made = self._make(request, on_progress, checkpoint, on_checkpoint)
            total_s = load_s + made.runtime.denoise_s + made.runtime.decode_s
            return replace(made, runtime=replace(made.runtime, load_s=load_s, total_s=total_s))
        except (RuntimeError, MemoryError) as error:
            failure = meaning(error, f"making {request.num_frames} frames of {request.width}×{request.height}")
            if failure is None:
                raise
            self._log.exception("Generating failed")
        if isinstance(failure, OutOfMemory):
            self._give_back()
        raise failure

    def _make(self, request: VideoRequest, on_progress: OnProgress, checkpoint: bytes,
              on_checkpoint: OnCheckpoint) -> Generation:
        pipeline = self._pipeline
        assert pipeline is not None
        devices.reset_peak_memory(pipeline.device)
        started = time.perf_counter()
        drawn = self._draw(pipeline, request)
        embeds, notes = embed(pipeline, request)
        scheduler = self._scheduler(pipeline, request.scheduler)
        origin = Origin(request, pipeline.weights_sha256, sampler.config_of(scheduler),
                        devices.environment(pipeline.device))
        state, remark = unpack(checkpoint, origin, pipeline.device) if checkpoint else (None, "")
        if state is not None:
            remark = f"Continued after step {state.step} of {request.num_inference_steps}."
            started -= state.elapsed_s

        def on_state(reached: LoopState) -> None:
            elapsed_s = time.perf_counter() - started
            on_checkpoint(reached.step, lambda: pack(replace(reached, elapsed_s=elapsed_s), origin))

        latents = sampler.denoise(pipeline.unet, scheduler, drawn.to(pipeline.device, pipeline.dtype), embeds,
                                  request.num_inference_steps, request.guidance_scale,
                                  _StepReport(pipeline, on_progress), on_state, state)
        _check_finite(latents)
        denoised = time.perf_counter()
        frames = decode(pipeline, latents, on_progress)
        _check_not_flat(frames)
        decoded = time.perf_counter()
        receipt = Receipt(
            noise_sha256=noise.sha256(drawn), frames_sha256=hashlib.sha256(frames.tobytes()).hexdigest(),
            **vars(pipeline.loaded_model), scheduler_config=origin.scheduler_config,
            environment=origin.environment)
        runtime = Runtime(denoise_s=denoised - started, decode_s=decoded - denoised,
                          peak_memory_bytes=devices.peak_memory_bytes(pipeline.device))
        notes = (*notes, *filter(None, [remark]))
        return Generation(frames, receipt, runtime, notes)

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
        gc.collect()
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()


class _StepReport:
    """After each step: is it sound, how far is it, and now and then how does it look."""

    def __init__(self, pipeline: loader.Pipeline, on_progress: OnProgress,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._pipeline = pipeline
        self._on_progress = on_progress
        self._clock = clock
        self._next_preview = 0.0

    def __call__(self, done: int, total: int, latents: torch.Tensor, clean: torch.Tensor) -> None:
        if self._pipeline.device.type == "cpu":  # on a GPU the question would make every step wait for its answer
            _check_finite(latents)
        picture = None
        started = self._clock()
        if done in (1, total) or started >= self._next_preview:
            picture = preview.strip(clean, self._pipeline.preview_factors)
            ended = self._clock()
            self._next_preview = ended + max(PREVIEW_INTERVAL_S, PREVIEW_COST * (ended - started))
        self._on_progress(Progress("denoising", done, total, picture))


def embed(pipeline: loader.Pipeline, request: VideoRequest) -> tuple[torch.Tensor, tuple[str, ...]]:
    """The prompts as the UNet reads them.

    Returns:
        (2, tokens, width) with guidance, the negative prompt first, else (1, tokens, width); and a sentence for
        each prompt of the person's own that is longer than the model reads.
    """
    texts = [("prompt", request.prompt)]
    if request.guidance_scale > 1:
        texts.insert(0, ("negative prompt", request.negative_prompt))
    embeds, notes = [], []
    for name, text in texts:
        written = len(pipeline.tokenizer(text).input_ids)
        if written > pipeline.tokens and text != NEGATIVE_PROMPT:
            notes.append(f"The {name} has {written} tokens; the model reads the first {pipeline.tokens}.")
        tokens = pipeline.tokenizer(text, padding="max_length", max_length=pipeline.tokens, truncation=True,
                                    return_tensors="pt")
        asks_mask = getattr(pipeline.text_encoder.config, "use_attention_mask", False)
        mask = tokens.attention_mask.to(pipeline.device) if asks_mask else None
        embeds.append(pipeline.text_encoder(tokens.input_ids.to(pipeline.device), attention_mask=mask)[0])
    return torch.cat(embeds).to(pipeline.dtype), tuple(notes)


def decode(pipeline: loader.Pipeline, latents: torch.Tensor, on_progress: OnProgress) -> np.ndarray:
    """Latents (1, C, F, h, w) as frames (F, H, W, 3) uint8, a few frames at a time.

    The rounding is that of the stock pipeline: x / 2 + 0.5, clamped to [0, 1], times 255, to the nearest.
    """
    scaled = (1 / pipeline.vae.config.scaling_factor * latents)[0].permute(1, 0, 2, 3)
    num_frames, _, height, width = scaled.shape
    pixels = height * width * pipeline.pixels_per_latent**2
    chunk = max(1, DECODED_PIXELS // pixels)
    frames: list[np.ndarray] = []
    for start in range(0, num_frames, chunk):
        image = pipeline.vae.decode(scaled[start:start + chunk], return_dict=False)[0].float()
        _check_finite(image)
        colours = (image * 0.5 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
        for frame in (colours * 255).round().to(torch.uint8).cpu().numpy():
            frames.append(frame)
            on_progress(Progress("decoding", len(frames), num_frames))
    return np.ascontiguousarray(np.stack(frames))


def _check_finite(values: torch.Tensor) -> None:
    if not bool(torch.isfinite(values).all()):
        raise InvalidFrames("The model produced values that are not numbers, so there is no picture to keep. "
                            "Try another scheduler, a lower guidance scale or more steps.")


def _check_not_flat(frames: np.ndarray) -> None:
    low, high = frames.min(axis=(0, 1, 2)).astype(int), frames.max(axis=(0, 1, 2)).astype(int)
    if (high - low <= FLAT_LEVELS).all():
        raise InvalidFrames("The model produced a clip of one flat colour. Try another seed, another prompt or "
                            "more steps.")
