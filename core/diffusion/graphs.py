"""A network whose calls are recorded on a GPU and replayed: one launch in place of some thousand a step.

At small sizes a GPU waits for the processor between kernels, so the launches are what a step costs. A recording
reads and writes fixed places in memory: what a call brings is copied there, and what comes out is copied away.
There is one for each kind of call (both prompts or one, whole or with what is kept), of one size of video at a
time; a size that comes anew is recorded at its first step. Where recording fails the call is made as ever, and the
log says so.

Not yet measured on a GPU. What is tested on a CPU is everything but the recording itself (tests/test_graphs.py).
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from core.diffusion.network import Network, Prompts

Made = tuple[torch.Tensor, torch.Tensor]
Record = Callable[[Callable[[], Made]], tuple[Callable[[], None], Made]]
"""Given a call: how to make it again, and where its results are then."""

WARMING = 3
"""Calls before a recording, in which the libraries choose their kernels and get their workspaces."""

_LOG = logging.getLogger(__name__)


@dataclass
class _Recording:
    """A recorded call: the places it reads, how to replay it, and the places it writes."""

    latents: torch.Tensor
    time: torch.Tensor
    prompts: Prompts
    deep: torch.Tensor | None
    replay: Callable[[], None]
    made: Made
    filled_with: Prompts


class Graphed:
    """A `Network` to whoever calls it, whose calls are replayed where they can be. Its weights may not move."""

    def __init__(self, network: Network, record: Record | None = None) -> None:
        """record: how a call is recorded; None: as a CUDA graph."""
        self._network = network
        self._record = record or cuda_graph
        self._recordings: dict[Any, _Recording | None] = {}
        self._size: torch.Size | None = None
        self.depth = network.depth
        self.prompts = network.prompts
        self.times = network.times

    def __call__(self, latents: torch.Tensor, time: torch.Tensor, prompts: Prompts, depth: int = 1,
                 deep: torch.Tensor | None = None) -> Made:
        """As `Network.__call__`."""
        if latents.shape != self._size:
            self._recordings.clear()  # each holds its activations
            self._size = latents.shape
        kind = (tuple(prompts[0][0].shape), depth, deep is None)
        if kind not in self._recordings:
            self._recordings[kind] = self._recorded(latents, time, prompts, depth, deep)
        recording = self._recordings[kind]
        if recording is None:
            return self._network(latents, time, prompts, depth, deep)
        recording.latents.copy_(latents)
        recording.time.copy_(time)
        if recording.deep is not None:
            recording.deep.copy_(deep)
        if recording.filled_with is not prompts:
            for places, values in zip(recording.prompts, prompts, strict=True):
                for place, value in zip(places, values, strict=True):
                    place.copy_(value)
            recording.filled_with = prompts
        recording.replay()
        predicted, entered = recording.made
        return predicted.clone(), entered.clone() if deep is None else deep

    def _recorded(self, latents: torch.Tensor, time: torch.Tensor, prompts: Prompts, depth: int,
                  deep: torch.Tensor | None) -> _Recording | None:
        places = (latents.clone(), time.clone(), tuple((key.clone(), value.clone()) for key, value in prompts),
                  None if deep is None else deep.clone())
        try:
            replay, made = self._record(lambda: self._network(*places[:3], depth, places[3]))
        except RuntimeError as error:
            _LOG.warning("A step could not be recorded and is made as ever: %s", str(error).split("\n")[0])
            return None
        return _Recording(*places, replay, made, prompts)


def cuda_graph(call: Callable[[], Made]) -> tuple[Callable[[], None], Made]:
    """Record a call as a CUDA graph.

    Raises:
        RuntimeError: it cannot be recorded, or there is no memory for it.
    """
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(WARMING):
            call()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        made = call()
    return graph.replay, made
