"""Our own forward does some work only once, and in a fixed layout: counted on the real modules while they work."""

from collections import Counter

import pytest
import torch
from diffusers import UNet3DConditionModel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from core.diffusion import noise, sampler
from core.diffusion.engine import Engine
from core.diffusion.unet3d.network import Network, lay_out
from core.diffusion.unet3d.prediction import Planned, Reference
from core.domain.modes import DECODED_PIXELS, EXACT, MODES, plan
from core.families.registry import SCHEDULERS
from core.settings import Settings

FRAMES, STEPS, GUIDANCE = 3, 4, 6.0


@pytest.fixture(scope="module")
def model(models_dir):
    engine = Engine(Settings.from_env({}, models_dir=models_dir, device="cpu"))
    engine.load("tiny", lambda _: None)
    return engine._model


def embeds():
    return torch.randn(2, 77, 16, generator=torch.Generator().manual_seed(1))


def run(model, prediction):
    """All steps of a small video."""
    with torch.inference_mode():
        return sampler.denoise(prediction(), sampler.scheduler(SCHEDULERS["dpmsolver++"], model.scheduler_config),
                               noise.draw(3, FRAMES, 4, 4, 6), STEPS, lambda *_: None)


def exact(model):
    lay_out(model.unet, True)
    mode = MODES[EXACT]
    return Planned(Network(model.unet), embeds(), GUIDANCE, plan(mode, STEPS, GUIDANCE), mode.depth)


def reference(model):
    lay_out(model.unet, False)
    return Reference(model.unet, embeds(), GUIDANCE)


def called(modules, prediction, model):
    """Each call of `modules` while a video is made: the module, and the first dimension of its input."""
    calls = []
    hooks = [module.register_forward_hook(
        lambda module, given, _, name=name: calls.append((name, given[0].shape[0])))
        for name, module in modules.items()]
    try:
        run(model, lambda: prediction(model))
    finally:
        for hook in hooks:
            hook.remove()
    return calls


def test_keys_and_values_of_the_prompts_are_made_once_a_video(model):
    readers = {f"{name}.{side}": getattr(module, side) for name, module in model.unet.named_modules()
               if name.endswith("attn2") and "temp" not in name and "transformer_in" not in name
               for side in ("to_k", "to_v")}
    assert len(readers) >= 6
    assert Counter(called(readers, exact, model)) == {(name, 2): 1 for name in readers}
    # the library makes them at each step, and for each frame of each prompt
    assert Counter(called(readers, reference, model)) == {(name, 2 * FRAMES): STEPS for name in readers}


def test_the_time_embedding_is_made_once_a_video(model):
    unet = model.unet
    modules = {"time": unet.time_embedding, "layer": unet.down_blocks[0].resnets[0].time_emb_proj}
    assert called(modules, exact, model) == [("time", STEPS), ("layer", STEPS)]
    assert len(called(modules, reference, model)) == 2 * STEPS


def test_the_layers_before_the_first_use_of_the_prompt_run_once_for_both(model):
    block = model.unet.down_blocks[0]
    inner = block.attentions[0].transformer_blocks[0]
    before = {"conv_in": model.unet.conv_in, "resnet": block.resnets[0].conv1,
              "proj_in": block.attentions[0].proj_in, "query": inner.attn1.to_q, "reading": inner.attn2.to_q}
    after = {"feed forward": inner.ff.net[0].proj, "middle": model.unet.mid_block.resnets[0].conv1}
    assert Counter(called({**before, **after}, exact, model)) == {
        **{(name, FRAMES): STEPS for name in before}, **{(name, 2 * FRAMES): STEPS for name in after}}
    assert {size for _, size in called(before, reference, model)} == {2 * FRAMES}


CONVOLUTIONS = (torch.ops.aten.convolution.default, torch.ops.aten.conv2d.default, torch.ops.aten.conv3d.default)


class Seen(TorchDispatchMode):
    """Notes the input of every convolution and every copy."""

    def __init__(self):
        super().__init__()
        self.convolutions, self.copies, self.operations = [], [], Counter()

    def __torch_dispatch__(self, operation, types, arguments=(), keywords=None):
        self.operations[operation] += 1
        if operation in CONVOLUTIONS:
            self.convolutions.append(tuple(
                tensor.is_contiguous(memory_format=torch.channels_last) for tensor in arguments[:2]))
        if operation is torch.ops.aten.copy_.default:
            self.copies.append((arguments[0].dtype, arguments[1].dtype, arguments[1].numel()))
        return operation(*arguments, **(keywords or {}))


def test_every_convolution_of_the_network_is_given_images_and_weights_with_their_channels_last(model):
    convolutions = sum(isinstance(module, torch.nn.Conv2d | torch.nn.Conv3d) for module in model.unet.modules())
    prediction = exact(model)
    with Seen() as seen:
        run(model, lambda: prediction)
    assert len(seen.convolutions) == STEPS * convolutions
    assert set(seen.convolutions) == {(True, True)}
    with Seen() as seen:
        run(model, lambda: reference(model))
    assert len(seen.convolutions) == STEPS * convolutions and (True, True) not in seen.convolutions


PRODUCTS = (torch.ops.aten.linear.default, torch.ops.aten.addmm.default, torch.ops.aten.mm.default)
ONEDNN = torch.ops.mkldnn._linear_pointwise.default


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")
def test_every_linear_layer_of_the_network_goes_through_onednn_and_none_of_the_reference(model):
    linear = sum(isinstance(module, torch.nn.Linear) for module in model.unet.modules())
    with Seen() as seen:
        run(model, lambda: exact(model))
    once = {"time_emb_proj", "linear_1", "linear_2"}  # once a run
    keys = sum(name.endswith(("attn2.to_k", "attn2.to_v")) and "temp" not in name and "transformer_in" not in name
               for name, _ in model.unet.named_modules())  # once a video
    runs = keys + sum(name.rpartition(".")[2] in once for name, _ in model.unet.named_modules())
    assert seen.operations[ONEDNN] == STEPS * (linear - runs) + runs
    assert not any(seen.operations[product] for product in PRODUCTS)
    with Seen() as seen:
        run(model, lambda: reference(model))
    assert seen.operations[ONEDNN] == 0
    assert sum(seen.operations[product] for product in PRODUCTS) >= STEPS * (linear - runs)


def test_all_but_the_first_convolutions_of_the_decoder_are_given_channels_last(model):
    lay_out(model.vae, True)
    with torch.inference_mode(), Seen() as seen:
        model.decode(noise.draw(3, FRAMES, 4, 4, 6), MODES[EXACT], lambda *_: None)
    assert len(seen.convolutions) > 10
    assert sum(not images for images, _ in seen.convolutions) <= 2  # the latents come as the scheduler left them


def test_frames_leave_the_model_as_bytes_and_one_answer_a_chunk(model, monkeypatch):
    monkeypatch.setitem(DECODED_PIXELS, "cpu", 2 * 32 * 48)
    with torch.inference_mode(), Seen() as seen:
        frames = model.decode(noise.draw(3, FRAMES, 4, 4, 6), MODES[EXACT], lambda *_: None)
    into_bytes = [copy for copy in seen.copies if copy[0] == torch.uint8]
    assert [source for _, source, _ in into_bytes] == [torch.uint8] * 2  # converted where they were made
    assert sum(count for _, _, count in into_bytes) == frames.size
    assert [count for kind, _, count in seen.copies if kind == torch.bool] == [1, 1]


class OffTheDevice(TorchDispatchMode):
    """Operations that a CUDA graph cannot hold: on tensors that are elsewhere, or that ask for a value."""

    def __init__(self):
        super().__init__()
        self.found, self.seen = [], 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        elsewhere = any(part.device.type != "meta" for part in tree_leaves((args, kwargs, made))
                        if isinstance(part, torch.Tensor))
        self.seen += 1
        if func is torch.ops.aten._local_scalar_dense.default or elsewhere:
            self.found.append(str(func))
        return made


def test_a_step_of_modelscope_in_half_precision_holds_nothing_that_cannot_be_recorded():
    with torch.device("meta"):
        unet = UNet3DConditionModel().half().eval()
        latents = torch.empty(1, 4, 16, 32, 32, dtype=torch.half)
        embeds, steps = torch.empty(2, 77, 1024, dtype=torch.half), torch.empty(25, dtype=torch.long)
    lay_out(unet, True)
    network = Network(unet)
    with torch.inference_mode():
        prompts, time = network.prompts(embeds), network.times(steps)[:1]
        with OffTheDevice() as off:
            predicted, kept = network(latents, time, prompts, 1)
            again, _ = network(latents, time, prompts, 1, kept)
    assert off.found == [] and off.seen > 1000
    assert predicted.shape == again.shape == (2, 4, 16, 32, 32) and predicted.dtype == kept.dtype == torch.half
