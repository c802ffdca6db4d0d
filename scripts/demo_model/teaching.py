"""The denoiser's stages: the frames' places, then single frames or clips; each goes on from its own state file."""

from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from diffusers.models.attention_processor import AttnProcessor
from torch import nn
from torch.nn import functional

from scripts.demo_model.denoiser import Batches, Denoiser, Stage, stages
from scripts.demo_model.parallel import meet, share_of
from scripts.demo_model.positions import FramePositions
from scripts.demo_model.progress import Progress, level_then_down
from scripts.demo_model.recipe import Recipe


class _FarEnough(Exception):
    """The way down is done; the rest of the UNet need not run."""


def _stop(*_: object) -> None:
    raise _FarEnough


def teach_positions(
    recipe: Recipe,
    work: Path,
    stage: Stage,
    batches: Batches,
    accelerator: Accelerator,
    start: dict[str, torch.Tensor],
) -> dict[str, torch.Tensor]:
    """Train the temporal convolutions on the way down on the frames' places; return all weights.

    Only the way down is run. Everything else keeps its weights from `start`.
    """
    progress = Progress(work, stage.name)
    state = progress.load()
    if state is not None and state["step"] >= stage.steps:
        return state["average"]
    model = Denoiser(recipe, batches.tokenizer)
    model.load_state_dict(start)
    model.requires_grad_(False)
    positions = FramePositions(model.unet, recipe.frames)
    learning = nn.ModuleList(conv for block in model.unet.down_blocks for conv in block.temp_convs)
    learning.requires_grad_(True)
    groups = [{"params": learning.parameters()}, {"params": positions.parameters()}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.0)
    first = 0
    if state is not None:
        model.load_state_dict(state["average"])
        positions.load_state_dict(state["positions"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    model, positions = model.to(accelerator.device), positions.to(accelerator.device)
    optimizer = accelerator.prepare(optimizer)
    model.unet.down_blocks[-1].temp_convs[-1].register_forward_hook(_stop)
    recent: list[float] = []
    for step in range(first, stage.steps):
        noisy, times, ids, _ = (part.to(accelerator.device) for part in batches.batch(stage, step))
        try:
            model(noisy, times, ids)
        except _FarEnough:
            pass
        loss = positions.loss()
        for group, factor in zip(optimizer.param_groups, (1.0, 5.0), strict=True):
            group["lr"] = stage.rate * factor * level_then_down(step, stage.steps, warm=30, last=0.4)
        optimizer.zero_grad()
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(learning.parameters(), 1.0)
        optimizer.step()
        recent.append(float(loss.detach()))
        done = step + 1
        if accelerator.is_main_process and (done % 50 == 0 or done == stage.steps):
            progress.log(done, loss=float(np.mean(recent)))
            recent.clear()
        if accelerator.is_main_process and (done % recipe.checkpoint_every == 0 or done == stage.steps):
            parts = {"average": model, "positions": positions, "optimizer": optimizer}
            progress.save({name: part.state_dict() for name, part in parts.items()} | {"step": done})
    return {name: value.detach().cpu() for name, value in model.state_dict().items()}


def _average(average: dict[str, torch.Tensor], model: nn.Module, decay: float) -> None:
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value, 1 - decay)


def train_stage(
    recipe: Recipe,
    work: Path,
    stage: Stage,
    batches: Batches,
    accelerator: Accelerator,
    start: dict[str, torch.Tensor] | None,
) -> dict[str, torch.Tensor]:
    """Train one stage, from `start` or from its own state file, and return the averaged weights."""
    progress = Progress(work, stage.name)
    state = progress.load()
    if state is not None and state["step"] >= stage.steps:
        return state["average"]
    model = Denoiser(recipe, batches.tokenizer)
    if start is not None:
        model.load_state_dict(start)
    model.requires_grad_(True)
    if accelerator.device.type == "cpu":
        model.unet.set_attn_processor(
            AttnProcessor()
        )  # many tiny attentions: the fused one is slower to train
    positions = FramePositions(model.unet, recipe.frames)
    groups = [{"params": group} for group in (*model.parameter_groups(), positions.parameters())]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.01)
    stills = stages(recipe)[0]
    first = 0
    if state is not None:
        model.load_state_dict(state["model"])
        positions.load_state_dict(state["positions"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    model, positions = model.to(accelerator.device), positions.to(accelerator.device)
    optimizer = accelerator.prepare(optimizer)
    average = {name: value.detach().clone() for name, value in model.state_dict().items()}
    if state is not None:
        average = {name: value.to(accelerator.device) for name, value in state["average"].items()}
    share = share_of(accelerator)
    recent: list[float] = []
    for step in range(first, stage.steps):
        single = stage.frames == 1 or (recipe.still_every > 0 and (step + 1) % recipe.still_every == 0)
        model.leave_out_time(single)
        again = recipe.still_steps if single and stage.frames > 1 else 0
        batch = batches.batch(stills if single else stage, step + again)
        noisy, times, ids, target = (part[share].to(accelerator.device) for part in batch)
        with accelerator.autocast():
            velocity = model(noisy, times, ids).float()
        loss = functional.mse_loss(velocity, target)
        learnt = loss
        if single:
            positions.forget()
        else:
            learnt = loss + recipe.position_weight * positions.loss()
        rate = stage.rate * level_then_down(step, stage.steps)
        for group, factor in zip(optimizer.param_groups, (1.0, recipe.temporal_rate, 10.0), strict=True):
            group["lr"] = rate * factor
        optimizer.zero_grad()
        accelerator.backward(learnt)
        accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        done = step + 1
        meet(accelerator, model, done)
        _average(average, model, min(recipe.ema, done / (done + 10)))
        if single == (stage.frames == 1):
            recent.append(float(loss.detach()))
        if not accelerator.is_main_process:
            continue
        if done % 50 == 0 or done == stage.steps:
            progress.log(done, loss=float(np.mean(recent)))
            recent.clear()
        if done % recipe.checkpoint_every == 0 or done == stage.steps:
            progress.save(
                {
                    "model": model.state_dict(),
                    "positions": positions.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "average": average,
                    "step": done,
                }
            )
    return average
