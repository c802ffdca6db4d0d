"""The denoiser's stages: words, single frames, their places, complete clips. Each resumes from its own state file."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from diffusers.models.attention_processor import AttnProcessor
from torch import nn
from torch.nn import functional

from scripts.demo_model.denoiser import Batch, Batches, Denoiser, Stage, stages
from scripts.demo_model.parallel import meet, share_of
from scripts.demo_model.positions import PlacesTaught, temporal_way_down
from scripts.demo_model.prefetch import ahead, ready_for
from scripts.demo_model.progress import Progress, level_then_down
from scripts.demo_model.recipe import Recipe
from scripts.demo_model.shape_reader import Readers
from scripts.demo_model.words import WordReaders

QUICK = 5.0
"""Factor of the learning rate for the table of places and for the readers."""


def _go_on(state: dict[str, Any] | None, **parts: Any) -> int:
    """Load a state into the parts; returns its number of finished steps, 0 without a state."""
    if state is None:
        return 0
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return state["step"]


def _saved(step: int, **parts: Any) -> dict[str, Any]:
    return {name: part.state_dict() for name, part in parts.items()} | {"step": step}


class _FarEnough(Exception):
    """The way down is finished; the rest of the UNet is not needed."""


def _stop(*_: object) -> None:
    raise _FarEnough


def teach_words(
    recipe: Recipe,
    work: Path,
    stage: Stage,
    batches: Batches,
    accelerator: Accelerator,
    start: dict[str, torch.Tensor] | None,
) -> dict[str, torch.Tensor]:
    """Train the text encoder on the meaning of captions; return all weights. The other weights are those of `start`."""
    progress = Progress(work, stage.name)
    state = progress.load()
    if state is not None and state["step"] >= stage.steps:
        return state["average"]
    model = Denoiser(recipe, batches.tokenizer)
    if start is not None:
        model.load_state_dict(start)
    readers = WordReaders(recipe.text_width)
    groups = [{"params": model.text.parameters()}, {"params": readers.parameters()}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.01)
    first = _go_on(state, average=model, readers=readers, optimizer=optimizer)
    model, readers = model.to(accelerator.device), readers.to(accelerator.device)
    optimizer = accelerator.prepare(optimizer)
    for step in range(first, stage.steps):
        ids, answers = batches.captions(stage, step)
        ended = (ids == batches.tokenizer.eos_token_id).cumsum(1) > 0
        ids, answers, ended = (part.to(accelerator.device) for part in (ids, answers, ended))
        loss, right = readers(model.text(ids)[0], ended, answers)
        for group, factor in zip(optimizer.param_groups, (1.0, 10.0), strict=True):
            group["lr"] = stage.rate * factor * level_then_down(step, stage.steps, warm=20, last=0.4)
        optimizer.zero_grad()
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.text.parameters(), 1.0)
        optimizer.step()
        done = step + 1
        if accelerator.is_main_process and (done % 50 == 0 or done == stage.steps):
            progress.log(done, loss=float(loss.detach()), right=float(right))
        if accelerator.is_main_process and (done % recipe.checkpoint_every == 0 or done == stage.steps):
            progress.save(_saved(done, average=model, readers=readers, optimizer=optimizer))
    return {name: value.detach().cpu() for name, value in model.state_dict().items()}


def teach_positions(
    recipe: Recipe,
    work: Path,
    stage: Stage,
    batches: Batches,
    accelerator: Accelerator,
    start: dict[str, torch.Tensor],
) -> dict[str, torch.Tensor]:
    """Train the temporal convolutions on the way down to add the table of places; return all weights.

    Only the way down runs. All other weights are those of `start`.
    """
    progress = Progress(work, stage.name)
    state = progress.load()
    if state is not None and state["step"] >= stage.steps:
        return state["average"]
    model = Denoiser(recipe, batches.tokenizer)
    model.load_state_dict(start)
    model.requires_grad_(False)
    taught = PlacesTaught(model.unet)
    learning = nn.ModuleList(temporal_way_down(model.unet))
    learning.requires_grad_(True)
    optimizer = torch.optim.AdamW(learning.parameters(), betas=(0.9, 0.98), weight_decay=0.0)
    first = _go_on(state, average=model, optimizer=optimizer)
    model = model.to(accelerator.device)
    optimizer = accelerator.prepare(optimizer)
    learning[-1].register_forward_hook(_stop)
    recent: list[float] = []
    for step in range(first, stage.steps):
        batch = Batch(*(part.to(accelerator.device) for part in batches.batch(stage, step)))
        try:
            model(batch.noisy, batch.times, batch.ids)
        except _FarEnough:
            pass
        loss, missed = taught.loss(model.places.table)
        for group in optimizer.param_groups:
            group["lr"] = stage.rate * level_then_down(step, stage.steps, warm=30, last=0.4)
        optimizer.zero_grad()
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(learning.parameters(), 1.0)
        optimizer.step()
        recent.append(float(missed))
        done = step + 1
        if accelerator.is_main_process and (done % 50 == 0 or done == stage.steps):
            progress.log(done, loss=float(np.mean(recent)))
            recent.clear()
        if accelerator.is_main_process and (done % recipe.checkpoint_every == 0 or done == stage.steps):
            progress.save(_saved(done, average=model, optimizer=optimizer))
    return {name: value.detach().cpu() for name, value in model.state_dict().items()}


def _average(average: dict[str, torch.Tensor], model: nn.Module, decay: float) -> None:
    values = {name: value for name, value in model.state_dict().items() if value.is_floating_point()}
    torch._foreach_lerp_([average[name] for name in values], list(values.values()), 1 - decay)


def _mean(values: list[torch.Tensor]) -> float:
    return float(torch.stack(values).mean()) if values else float("nan")


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
        )  # for many tiny attentions the fused one trains more slowly
    readers = Readers(model.unet)
    groups = [{"params": group} for group in (*model.parameter_groups(), readers.parameters())]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.01)
    stills = stages(recipe)[1]
    first = _go_on(state, model=model, readers=readers, optimizer=optimizer)
    model, readers = model.to(accelerator.device), readers.to(accelerator.device)
    optimizer = accelerator.prepare(optimizer)
    average = {name: value.detach().clone() for name, value in model.state_dict().items()}
    if state is not None:
        average = {name: value.to(accelerator.device) for name, value in state["average"].items()}
    share = share_of(accelerator)
    recent: list[torch.Tensor] = []  # read only now and then, because each read waits for the GPU
    misses: list[torch.Tensor] = []

    def of_single_frames(step: int) -> bool:
        return stage.frames == 1 or (recipe.still_every > 0 and (step + 1) % recipe.still_every == 0)

    def drawn(step: int) -> Batch:
        single = of_single_frames(step)
        again = recipe.still_steps if single and stage.frames > 1 else 0
        batch = batches.batch(stills if single else stage, step + again)
        return Batch(*(ready_for(accelerator.device, part[share]) for part in batch))

    steps = range(first, stage.steps)
    for step, batch in zip(steps, ahead(drawn, steps), strict=True):
        single = of_single_frames(step)
        batch = Batch(*(part.to(accelerator.device, non_blocking=True) for part in batch))
        with accelerator.autocast():
            velocity = model(batch.noisy, batch.times, batch.ids, batch.places if single else None).float()
        loss, astray = functional.mse_loss(velocity, batch.target), readers.loss(batch.truth)
        rate = stage.rate * level_then_down(step, stage.steps)
        for group, factor in zip(optimizer.param_groups, (1.0, recipe.temporal_rate, QUICK, QUICK), strict=True):
            group["lr"] = rate * factor
        optimizer.zero_grad()
        accelerator.backward(loss + recipe.reader_weight * astray)
        accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        done = step + 1
        meet(accelerator, model, done)
        _average(average, model, min(recipe.ema, done / (done + 10)))
        if single == (stage.frames == 1):
            recent.append(loss.detach())
            misses.append(astray.detach())
        if not accelerator.is_main_process:
            continue
        if done % 50 == 0 or done == stage.steps:
            progress.log(done, loss=_mean(recent), astray=_mean(misses))
            recent.clear()
            misses.clear()
        if done % recipe.checkpoint_every == 0 or done == stage.steps:
            kept = _saved(done, model=model, readers=readers, optimizer=optimizer)
            progress.save(kept | {"average": average})
    return average
