"""Several processes train one model. They average their weights every few steps, instead of waiting at each step.

On a busy machine a process often has to wait for the CPU. With averaged gradients at every step, all processes run as
slowly as the slowest. So each process takes its share of every batch and makes its own optimizer steps. Every MEET
steps all processes take the mean of their weights (local SGD). This has no effect on a single process, the usual case.
"""

import torch
from accelerate import Accelerator
from torch import nn

MEET = 10
"""Steps between two averagings; the step of a checkpoint must be a multiple of it."""


def share_of(accelerator: Accelerator) -> slice:
    """The rows of a batch for this process."""
    return slice(accelerator.process_index, None, accelerator.num_processes)


@torch.no_grad()
def meet(accelerator: Accelerator, model: nn.Module, done: int) -> None:
    """After every MEET steps set all processes' weights to their mean."""
    if accelerator.num_processes == 1 or done % MEET:
        return
    weights = nn.utils.parameters_to_vector(model.parameters())
    nn.utils.vector_to_parameters(accelerator.reduce(weights, reduction="mean"), model.parameters())
