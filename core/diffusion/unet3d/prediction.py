"""The prediction of a model of the family at a step, in each mode."""

import time
from collections.abc import Callable
from typing import Any

import torch

from core.diffusion.prediction import guided
from core.diffusion.unet3d.graphs import Graphed
from core.diffusion.unet3d.network import Network, Prompts
from core.domain.modes import FAST, MODES, Step, mode_of, plan
from core.domain.recipe import Recipe

TRIED = 3
"""The number of steps made to measure the time of one."""


class Reference:
    """The library's own forward, as `TextToVideoSDPipeline` calls it: bit for bit."""

    def __init__(self, unet: Any, embeds: torch.Tensor, guidance_scale: float) -> None:
        """embeds: (2, tokens, width), the negative prompt's before the prompt's; (1, …) without guidance."""
        self._unet = unet
        self._embeds = embeds
        self._guidance_scale = guidance_scale
        self._timesteps = torch.empty(0)

    def begin(self, timesteps: torch.Tensor) -> None:
        """Remember the steps."""
        self._timesteps = timesteps

    def whole(self, index: int) -> bool:
        """Every step is a full step."""
        return True

    def __call__(self, latents: torch.Tensor, index: int) -> torch.Tensor:
        """One call of the UNet."""
        inputs = torch.cat([latents] * self._embeds.shape[0])
        output = self._unet(inputs, self._timesteps[index], encoder_hidden_states=self._embeds,
                            return_dict=False)[0]
        return guided(output, self._guidance_scale)


class Planned:
    """Our own network. A plan decides how each step is made."""

    def __init__(self, network: Network | Graphed, embeds: torch.Tensor, guidance_scale: float,
                 plan: tuple[Step, ...], depth: int) -> None:
        """embeds as for `Reference`; plan and depth as in `core.domain.modes`."""
        self._network = network
        self._guidance_scale = guidance_scale
        self._plan = plan
        self._depth = depth
        self._both: Prompts = network.prompts(embeds)
        self._alone: Prompts = tuple((key[-1:], value[-1:]) for key, value in self._both)
        self._times = self._kept = torch.empty(0)

    def begin(self, timesteps: torch.Tensor) -> None:
        """Compute the time inputs of the layers."""
        self._times = self._network.times(timesteps)
        self._kept = torch.empty(0)

    def whole(self, index: int) -> bool:
        """Whether the plan makes this step in full."""
        return self._plan[index].whole

    def __call__(self, latents: torch.Tensor, index: int) -> torch.Tensor:
        """One call of the network."""
        step, row = self._plan[index], self._times[index:index + 1]
        prompts = self._both if step.guided else self._alone
        if step.whole:
            output, self._kept = self._network(latents, row, prompts, self._depth)
        else:
            images = latents.shape[2] * prompts[0][0].shape[0]
            output, _ = self._network(latents, row, prompts, self._depth, self._kept[-images:])
        return guided(output, self._guidance_scale)


def planned(network: Network | Graphed, recipe: Recipe, embeds: torch.Tensor) -> Planned:
    """A network with the plan of the recipe's mode."""
    mode = mode_of(recipe.mode)
    steps = plan(mode, recipe.num_inference_steps, recipe.guidance_scale)
    return Planned(network, embeds, recipe.guidance_scale, steps, min(mode.depth, network.depth))


def rehearse(network: Network | Graphed, latents: torch.Tensor, embeds: torch.Tensor,
             alive: Callable[[], None]) -> float:
    """Make each kind of call that a recipe may need once: a full one, as in every mode, and one with cached values.

    Args:
        alive: called before each call; an error that it raises ends the rehearsal.

    Returns:
        Seconds that a full step takes then: the best of a few.
    """
    depth, cached = min(MODES[FAST].depth, network.depth), None
    row = network.times(torch.zeros(1, dtype=torch.int64, device=latents.device))
    prompts = network.prompts(embeds)
    for _ in range(2):
        alive()
        _, cached = network(latents, row, prompts, depth, cached)
    best = float("inf")
    for _ in range(TRIED):
        alive()
        started = time.perf_counter()
        predicted, _ = network(latents, row, prompts, depth)
        predicted.sum().item()  # waits for a GPU
        best = min(best, time.perf_counter() - started)
    return best
