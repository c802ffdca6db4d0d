"""A network whose calls are recorded on a GPU and replayed: one launch instead of about a thousand a step.

At small sizes a GPU waits for the processor between kernels, so the launches decide the time of a step. A recording
reads and writes fixed places in memory. The inputs of a call are copied there, and the results are copied away, so
no run sees values of another run.

There is one recording for each kind of call: both prompts or one, full or with cached values. Recordings exist for
each of the sizes used last (`core.diffusion.unet3d.buckets`). A new size is recorded at its first step. If
recording fails, the call runs without a recording, and the log gives the reason. If memory is short, all recordings
are dropped, so none takes memory that a video needs.

Not yet measured on a GPU. The tests on a CPU cover everything except the recording itself (tests/test_graphs.py).
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from core.diffusion.failures import meaning
from core.diffusion.unet3d.buckets import MOST_SIZES, Bucket, Buckets
from core.diffusion.unet3d.network import Network, Prompts
from core.errors import OutOfMemory

Made = tuple[torch.Tensor, torch.Tensor]

WARMING = 3
"""Calls before a recording, in which the libraries choose their kernels and get their workspaces."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recorded:
    """A call that can be replayed: the function to replay it, its results, and the memory that it holds."""

    replay: Callable[[], None]
    made: Made
    nbytes: int = 0
    pool: Any = None


Record = Callable[[Callable[[], Made], Any], Recorded]
"""Records a call. Arguments: the call, and the pool of earlier recordings of that size or None."""


@dataclass
class _Recording:
    """A recorded call: the places it reads, the prompts in these places, and how to replay it."""

    latents: torch.Tensor
    time: torch.Tensor
    prompts: Prompts
    deep: torch.Tensor | None
    call: Recorded
    filled_with: Prompts


class Graphed:
    """It is called like a `Network`, and replays calls where possible. Its weights must not move."""

    def __init__(self, network: Network, record: Record | None = None, most: int = MOST_SIZES) -> None:
        """record: how a call is recorded; None: as a CUDA graph. most: the number of sizes that stay at once."""
        self._network = network
        self._record = record or cuda_graph
        self._buckets = Buckets(most)
        self.depth = network.depth
        self.prompts = network.prompts
        self.times = network.times

    @property
    def nbytes(self) -> int:
        """The memory that the recordings hold, in addition to the memory that torch counts as allocated."""
        return self._buckets.nbytes

    def kinds(self) -> dict[Any, bool]:
        """Whether each kind of call is recorded, by size and kind, for all calls so far."""
        return {(size, kind): recording is not None for size, bucket in self._buckets.items()
                for kind, recording in bucket.recordings.items()}

    def make_room(self, latents: torch.Size, spare_bytes: int) -> None:
        """Drop recordings of other sizes than that of `latents` until they hold at most `spare_bytes`."""
        if self._buckets.make_room(tuple(latents), spare_bytes) and torch.cuda.is_initialized():
            torch.cuda.empty_cache()  # without this, only another recording could use that memory

    def __call__(self, latents: torch.Tensor, time: torch.Tensor, prompts: Prompts, depth: int = 1,
                 deep: torch.Tensor | None = None) -> Made:
        """As `Network.__call__`."""
        bucket = self._buckets.of(tuple(latents.shape))
        kind = (tuple(prompts[0][0].shape), depth, deep is None)
        if kind not in bucket.recordings:
            recorded = self._recorded(bucket, latents, time, prompts, depth, deep)
            if isinstance(recorded, OutOfMemory):
                self._let_all_go(bucket, latents.shape)
            bucket.recordings[kind] = recorded if isinstance(recorded, _Recording) else None
        recording = bucket.recordings[kind]
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
        recording.call.replay()
        predicted, entered = recording.call.made
        return predicted.clone(), entered.clone() if deep is None else deep

    def _recorded(self, bucket: Bucket, latents: torch.Tensor, time: torch.Tensor, prompts: Prompts, depth: int,
                  deep: torch.Tensor | None) -> _Recording | OutOfMemory | None:
        try:
            places = (latents.clone(), time.clone(), tuple((key.clone(), value.clone()) for key, value in prompts),
                      None if deep is None else deep.clone())
            call = self._record(lambda: self._network(*places[:3], depth, places[3]), bucket.pool)
        except RuntimeError as error:
            _LOG.warning("A step of %s cannot be recorded and runs without a recording: %s",
                         "×".join(map(str, latents.shape)), str(error).split("\n")[0])
            failure = meaning(error, "recording a step")
            return failure if isinstance(failure, OutOfMemory) else None
        bucket.nbytes += call.nbytes
        bucket.pool = call.pool
        return _Recording(*places, call, prompts)

    def _let_all_go(self, bucket: Bucket, latents: torch.Size) -> None:
        """Drop the recordings of this size, whose calls run without one from now on, and of all other sizes."""
        bucket.recordings = dict.fromkeys(bucket.recordings)
        bucket.nbytes, bucket.pool = 0, None
        self._buckets.make_room(tuple(latents), 0)
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()


def cuda_graph(call: Callable[[], Made], pool: Any) -> Recorded:
    """Record a call as a CUDA graph on the current GPU.

    Warming and recording share one stream, because only the stream that allocated the memory of a pool reuses it.

    Raises:
        RuntimeError: the call cannot be recorded, or the memory is too small for it.
    """
    here, beside = torch.cuda.current_stream(), _beside(torch.cuda.current_device())
    beside.wait_stream(here)
    try:
        with torch.cuda.stream(beside):  # torch.cuda.graph alone may not leave the stream when recording fails
            for _ in range(WARMING):
                call()
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
            before = torch.cuda.memory_reserved()
            graph = torch.cuda.CUDAGraph()
            # thread_local: during the recording, the worker's answering thread may ask the GPU for its free memory
            with torch.cuda.graph(graph, pool=pool, stream=beside, capture_error_mode="thread_local"):
                made = call()
    finally:
        here.wait_stream(beside)
    return Recorded(graph.replay, made, max(0, torch.cuda.memory_reserved() - before), graph.pool())


@cache
def _beside(device: int) -> "torch.cuda.Stream":
    return torch.cuda.Stream(device)
