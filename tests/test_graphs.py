"""Recorded calls: what is copied in and out, which calls share a recording, and what happens where none is made.

There is no GPU here: a recording is made again by calling, and writes its results where the first call did.
"""

import pytest
import torch

from core.diffusion.engine import Engine
from core.diffusion.graphs import Graphed
from core.diffusion.network import Network, channels_last
from core.settings import Settings


@pytest.fixture(scope="module")
def network(models_dir):
    engine = Engine(Settings.from_env({}, models_dir=models_dir, device="cpu"))
    engine.load("tiny", lambda _: None)
    channels_last(engine._pipeline.unet, True)
    return Network(engine._pipeline.unet)


class Recorder:
    """Records as a graph does: the results stay in one place, and a replay writes them there."""

    def __init__(self):
        self.recorded = self.replayed = 0

    def __call__(self, call):
        self.recorded += 1
        made = tuple(tensor.clone() for tensor in call())

        def replay():
            self.replayed += 1
            for place, tensor in zip(made, call(), strict=True):
                place.copy_(tensor)

        return replay, made


def noise(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def given(network, seed, frames=3, prompts=2):
    with torch.inference_mode():
        return (noise(1, 4, frames, 4, 4, seed=seed), network.times(torch.tensor([100 + seed])),
                network.prompts(noise(prompts, 77, 16, seed=seed)))


def test_a_replayed_call_makes_what_the_network_makes_for_other_latents_times_and_prompts(network):
    recorder = Recorder()
    graphed = Graphed(network, recorder)
    results = []
    with torch.inference_mode():
        for seed in (1, 2, 3):
            arguments = given(network, seed)
            whole, deep = graphed(*arguments)
            results.append((arguments, whole, deep))
            kept, _ = graphed(*arguments, 1, deep)
            assert torch.equal(kept, whole)
        for arguments, whole, deep in results:  # earlier results are not written over by later calls
            expected = network(*arguments)
            assert torch.equal(whole, expected[0]) and torch.equal(deep, expected[1])
    assert (recorder.recorded, recorder.replayed) == (2, 6)


def test_each_kind_of_call_has_a_recording_and_another_size_begins_anew(network):
    recorder = Recorder()
    graphed = Graphed(network, recorder)
    with torch.inference_mode():
        for prompts in (2, 1, 2, 1):
            graphed(*given(network, 1, prompts=prompts))
        assert recorder.recorded == 2
        graphed(*given(network, 1, frames=2))
        graphed(*given(network, 1, frames=3))
    assert recorder.recorded == 4


def test_where_recording_fails_the_call_is_made_as_ever_and_the_log_says_so(network, caplog):
    def refuse(call):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    graphed = Graphed(network, refuse)
    with torch.inference_mode():
        arguments = given(network, 1)
        for _ in range(2):
            assert torch.equal(graphed(*arguments)[0], network(*arguments)[0])
    assert caplog.text.count("could not be recorded") == 1
    assert "stream is capturing" in caplog.text
