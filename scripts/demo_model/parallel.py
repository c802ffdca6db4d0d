"""Several processes that train one model and meet every few steps, instead of waiting for each other at each.

On a busy machine a process is often off the CPU, and whoever averages gradients at every step runs at the pace of
the unluckiest. So each process takes its share of every batch and its own optimizer steps, and every MEET steps
all take the mean of their weights (local SGD). One process, the usual case, never notices.
"""

import torch
from accelerate import Accelerator
from torch import nn

MEET = 10
"""Steps between two averagings; checkpoints must fall on its multiples."""


def share_of(accelerator: Accelerator) -> slice:
    """Which rows of a batch are this process's."""
    return slice(accelerator.process_index, None, accelerator.num_processes)


@torch.no_grad()
def meet(accelerator: Accelerator, model: nn.Module, done: int) -> None:
    """After every MEET steps set all processes' weights to their mean."""
    if accelerator.num_processes == 1 or done % MEET:
        return
    weights = nn.utils.parameters_to_vector(model.parameters())
    nn.utils.vector_to_parameters(accelerator.reduce(weights, reduction="mean"), model.parameters())
