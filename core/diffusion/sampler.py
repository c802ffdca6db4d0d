"""Noise becomes latents: the denoising loop, step by step.

We have our own loop because the library's pipelines cannot report the result of a step, and cannot resume in the
middle. With the same latents and the library's denoiser it makes the same frames (tests/test_diffusion.py).
"""

import copy
import inspect
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import diffusers
import torch

from core.diffusion.loop_state import LoopState
from core.diffusion.prediction import Prediction
from core.domain.models import SchedulerSpec
from core.errors import BadRequest

OnStep = Callable[[int, int, torch.Tensor, torch.Tensor], None]
"""Called after each step with: steps done; steps in all; the latents (1, C, F, h, w); the predicted clean latents
(F, C, h, w). Both latents have the device and dtype of the model. May raise to stop."""

OnState = Callable[[LoopState], None]
"""Called after each step, after `OnStep`, with the state from which the loop can resume: the state after that step.
If the next step reuses values of an earlier full step, it is the state before that full step. May raise to stop."""


def scheduler(row: SchedulerSpec, config: dict[str, Any]) -> Any:
    """A fresh diffusers scheduler: a row of the model's family over the checkpoint's own `config`.

    The values of the training (betas, prediction type, spacing) come from `config`; the options of the row win.
    """
    kind = getattr(diffusers, row.class_name)
    known = inspect.signature(kind).parameters
    return kind(**{**{name: value for name, value in config.items() if name in known}, **row.options})


def set_steps(scheduler: Any, num_inference_steps: int, device: torch.device | None = None) -> None:
    """Give a fresh scheduler exactly that many steps.

    With "trailing" spacing, diffusers counts down by a fraction of a step. For 62 of the counts from 1 to 1000 (61,
    103, 121 …) the fractions add up to one timestep too many. Its value is -1, after the end of the noise. We
    remove this timestep and its noise level; the other steps stay the same.

    Raises:
        BadRequest: the model was trained with fewer different steps.
    """
    scheduler.set_timesteps(num_inference_steps, device=device)
    if len(scheduler.timesteps) == num_inference_steps + 1 and scheduler.timesteps[-1] < 0:
        scheduler.timesteps = scheduler.timesteps[:-1]
        scheduler.num_inference_steps = num_inference_steps
        sigmas = getattr(scheduler, "sigmas", None)
        if sigmas is not None and len(sigmas) == num_inference_steps + 2:
            scheduler.sigmas = torch.cat([sigmas[:-2], sigmas[-1:]])
    timesteps = scheduler.timesteps.tolist()
    if len(timesteps) != num_inference_steps or len(set(timesteps)) != num_inference_steps or min(timesteps) < 0:
        raise BadRequest("num_inference_steps", f"{num_inference_steps} is more than the {type(scheduler).__name__} "
                                                "of this model can tell apart. Choose fewer steps.")


def denoise(
    predict: Prediction,
    scheduler: Any,
    noise: torch.Tensor,
    num_inference_steps: int,
    on_step: OnStep,
    on_state: OnState = lambda _: None,
    state: LoopState | None = None,
) -> torch.Tensor:
    """Run the complete loop, or the rest of it.

    Args:
        scheduler: a fresh one.
        noise: (1, C, F, h, w), unit variance, of the model's device and dtype.
        state: resume here; everything else must be the same. None: begin with `noise`.

    Returns:
        Latents (1, C, F, h, w), with the scaling of the model's training.
    """
    set_steps(scheduler, num_inference_steps, noise.device)
    latents, begin = noise * scheduler.init_noise_sigma, 0
    if state is not None:
        vars(scheduler).update(state.scheduler)
        latents, begin = _channels_first(state.latents), state.step
    timesteps = scheduler.timesteps
    predict.begin(timesteps)
    steps = len(timesteps)
    leave = LoopState(begin, _frames_first(latents), copy.deepcopy(_held_by(scheduler)))
    for index, timestep in enumerate(timesteps[begin:], start=begin):
        output = predict(scheduler.scale_model_input(latents, timestep), index)
        step = scheduler.step(_frames_first(output), timestep, _frames_first(latents))
        latents = _channels_first(step.prev_sample)
        on_step(index + 1, steps, latents, _clean(scheduler, step))
        if index + 1 == steps or predict.whole(index + 1):
            # a state does not contain the cached values: only before a full step can the loop resume
            leave = LoopState(index + 1, step.prev_sample, _held_by(scheduler))
            if index + 2 < steps and not predict.whole(index + 2):
                leave = replace(leave, scheduler=copy.deepcopy(leave.scheduler))  # the next steps must not change it
        on_state(leave)
    return latents


def _held_by(scheduler: Any) -> dict[str, Any]:
    """Everything a scheduler holds except its configuration."""
    return {name: value for name, value in vars(scheduler).items() if name != "_internal_dict"}


def _channels_first(frames: torch.Tensor) -> torch.Tensor:
    """(F, C, h, w) as (1, C, F, h, w)."""
    return frames.unsqueeze(0).permute(0, 2, 1, 3, 4)


def _frames_first(video: torch.Tensor) -> torch.Tensor:
    """(1, C, F, h, w) as (F, C, h, w): schedulers see frames as a batch, in the order the pipeline shows them."""
    return video[0].permute(1, 0, 2, 3)


def _clean(scheduler: Any, step: Any) -> torch.Tensor:
    """The scheduler's prediction, after this step, of the finished latents (F, C, h, w)."""
    predicted = getattr(step, "pred_original_sample", None)
    if predicted is not None:
        return predicted
    outputs = getattr(scheduler, "model_outputs", None)  # the multistep solvers store their predictions here
    return outputs[-1] if outputs and outputs[-1] is not None else step.prev_sample


def config_of(scheduler: Any) -> dict[str, Any]:
    """The configuration of a scheduler as it ran, as JSON values, its class under "class"."""
    own = {name: _plain(value) for name, value in scheduler.config.items() if not name.startswith("_")}
    return {"class": type(scheduler).__name__, **own}


def _plain(value: Any) -> Any:
    """A value that JSON can represent exactly: infinities become text, arrays and tuples become lists."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return value if isinstance(value, float) and math.isfinite(value) else str(value)
