"""The cost of a video, from the configuration alone, compared with the real work of the libraries."""

import json
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet3DConditionModel
from tiny import make_checkpoint
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPTextConfig, CLIPTextModel

from core.domain.recipe import Size
from core.families.cost import MODEL_OFFLOAD, RESIDENT, SEQUENTIAL_OFFLOAD, Memory, memory_mode, nearest_that_fits
from core.families.unet3d import cost
from core.families.unet3d.shape import Architecture, architecture, decoder_tally, text_tally, unet_tally

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "data" / "models" / "demo"
MODELSCOPE = Architecture()
GIB = 2**30


@pytest.fixture(scope="module", params=["tiny", "demo"])
def folder(request, models_dir):
    return models_dir / "tiny" if request.param == "tiny" else DEMO


def counted(call):
    """Floating-point operations by torch's own counter, which knows attention only as plain products."""
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def weights_of(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_operations_of_the_unet_are_those_that_torch_counts(folder):
    unet = UNet3DConditionModel.from_pretrained(folder / "unet", use_safetensors=True)
    shape = architecture(folder).unet
    for batch, frames, height, width, tokens in ((1, 3, 4, 4, 7), (2, 2, 8, 4, 5), (1, 1, 3, 5, 9)):
        real = counted(lambda f=frames, b=batch, h=height, w=width, t=tokens: unet(
            torch.zeros(b, shape.in_channels, f, h, w), torch.tensor(5),
            encoder_hidden_states=torch.zeros(b, t, shape.cross_attention_dim)))
        assert unet_tally(shape, batch, frames, height, width, tokens).flops == real
    assert unet_tally(shape, 0, 0, 0, 0, 0).weights == weights_of(unet)


def test_the_operations_of_decoding_are_those_that_torch_counts(folder):
    vae = AutoencoderKL.from_pretrained(folder / "vae", use_safetensors=True)
    shape = architecture(folder).vae
    for images, height, width in ((1, 2, 2), (3, 4, 3)):
        real = counted(lambda n=images, h=height, w=width: vae.decode(torch.zeros(n, shape.latent_channels, h, w)))
        assert decoder_tally(shape, images, height, width).flops == real
    assert decoder_tally(shape, 0, 0, 0).weights == weights_of(vae)


def test_the_operations_of_reading_prompts_are_those_that_torch_counts(folder):
    text = CLIPTextModel.from_pretrained(folder / "text_encoder", use_safetensors=True)
    shape = architecture(folder).text
    tokens = torch.ones(2, shape.max_position_embeddings, dtype=torch.long)
    real = counted(lambda: text(tokens))
    assert text_tally(shape, 2).flops == real
    assert text_tally(shape, 0).weights == weights_of(text)


def test_modelscope_has_the_weights_that_its_authors_published():
    assert unet_tally(MODELSCOPE.unet, 0, 0, 0, 0, 0).weights == 1_411_233_860
    assert text_tally(MODELSCOPE.text, 0).weights == 340_387_840
    assert decoder_tally(MODELSCOPE.vae, 0, 0, 0).weights == 83_653_863


def test_modelscope_has_the_weights_of_the_librarys_defaults():
    with torch.device("meta"):
        text = CLIPTextModel(CLIPTextConfig(hidden_size=1024, intermediate_size=4096, num_hidden_layers=23,
                                            num_attention_heads=16, hidden_act="gelu", projection_dim=512))
        assert weights_of(UNet3DConditionModel()) == unet_tally(MODELSCOPE.unet, 0, 0, 0, 0, 0).weights
    assert weights_of(text) == text_tally(MODELSCOPE.text, 0).weights


@pytest.mark.parametrize(("frames", "height", "width", "step", "decoding", "whole"), [
    (16, 256, 256, 9.774, 9.95, 254), (24, 256, 448, 26.01, 26.2, 677), (24, 320, 576, 42.79, 42.3, 1112),
    (36, 320, 576, 64.25, 63.4, 1670), (24, 576, 1024, 157.0, 138, 4062)])
def test_the_work_of_modelscope_at_its_sizes(frames, height, width, step, decoding, whole):
    work = cost.work(MODELSCOPE, Size(frames, height, width), 25, True)
    assert work.denoising / 25 / 1e12 == pytest.approx(step, rel=0.001)
    assert work.decoding / 1e12 == pytest.approx(decoding, rel=0.003)
    assert work.total / 1e12 == pytest.approx(whole, rel=0.002)


def test_without_guidance_a_step_is_half_the_work():
    size = Size(16, 256, 256)
    guided, plain = (cost.work(MODELSCOPE, size, 10, reads_both) for reads_both in (True, False))
    assert guided.denoising == 2 * plain.denoising
    assert guided.decoding == plain.decoding
    assert cost.work(MODELSCOPE, size, 20, False).denoising == guided.denoising


class Live(TorchDispatchMode):
    """The most bytes of tensors that are alive at once, those of `known` not counted."""

    def __init__(self, known):
        super().__init__()
        self.now = self.most = 0
        self._seen = {parameter.untyped_storage()._cdata for parameter in known}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """Run the operation and look at the new tensors."""
        result = function(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage()._cdata not in self._seen:
                storage = tensor.untyped_storage()
                self._seen.add(storage._cdata)
                self.now += storage.nbytes()
                self.most = max(self.most, self.now)
                weakref.finalize(storage, self._gone, storage._cdata, storage.nbytes())
        return result

    def _gone(self, key, size):
        self.now -= size
        self._seen.discard(key)


def unheld(query, key, value, **_):
    """A GPU's attention, which never holds its products."""
    return torch.empty_like(query)


def most_alive(model, call):
    with torch.no_grad(), Live(model.parameters()) as live:
        call()
    return live.most


@pytest.mark.parametrize(("kind", "frames", "height", "width"), [
    ("modelscope", 16, 256, 256), ("modelscope", 24, 320, 576), ("demo", 16, 128, 128), ("demo", 32, 256, 192)])
def test_the_memory_of_a_step_is_what_the_unet_holds_at_its_fullest(kind, frames, height, width, monkeypatch):
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", unheld)
    model = MODELSCOPE if kind == "modelscope" else architecture(DEMO)
    config = {} if kind == "modelscope" else json.loads((DEMO / "unet" / "config.json").read_text())
    device = "cuda" if kind == "modelscope" else "cpu"
    with torch.device("meta"):
        unet = UNet3DConditionModel(**{k: v for k, v in config.items() if k[0] != "_"})
        unet = unet.half() if device == "cuda" else unet
        side = model.pixels_per_latent
        latents = torch.empty(2, model.unet.in_channels, frames, height // side, width // side, dtype=unet.dtype)
        embeds = torch.empty(2, model.text.max_position_embeddings, model.unet.cross_attention_dim,
                             dtype=unet.dtype)
        time = torch.tensor(5)
    real = most_alive(unet, lambda: unet(latents, time, encoder_hidden_states=embeds))
    said = cost.memory(model, Size(frames, height, width), True, device).denoising
    assert said == pytest.approx(real, rel=0.06)


def test_the_memory_of_decoding_is_what_the_vae_holds_at_its_fullest(monkeypatch):
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", unheld)
    shape = MODELSCOPE.vae
    with torch.device("meta"):
        vae = AutoencoderKL(block_out_channels=shape.block_out_channels, layers_per_block=2, latent_channels=4,
                            down_block_types=("DownEncoderBlock2D",) * 4,
                            up_block_types=("UpDecoderBlock2D",) * 4).half()
        latents = torch.empty(1, 4, 40, 72, dtype=torch.half)
    real = most_alive(vae, lambda: vae.decode(latents))
    assert weights_of(vae) == decoder_tally(shape, 0, 0, 0).weights
    assert cost.memory(MODELSCOPE, Size(24, 320, 576), True, "cuda").decoding == pytest.approx(real, rel=0.02)


def needs_of_modelscope(size):
    return cost.memory(MODELSCOPE, size, True, "cuda")


@pytest.mark.parametrize(("frames", "height", "width", "resident", "offloaded"), [
    (16, 256, 256, 5.0, 4.2), (24, 320, 576, 6.7, 5.9), (64, 256, 256, 6.6, 5.8), (24, 576, 1024, 12.1, 11.4)])
def test_modelscope_needs_what_was_reckoned_and_up_to_a_gigabyte_of_workspace(frames, height, width, resident,
                                                                              offloaded):
    memory = needs_of_modelscope(Size(frames, height, width))
    assert resident - 0.1 <= memory.needed(RESIDENT) / GIB <= resident + 1.1
    assert offloaded - 0.1 <= memory.needed(MODEL_OFFLOAD) / GIB <= offloaded + 1.1
    assert memory.needed(SEQUENTIAL_OFFLOAD) < memory.needed(MODEL_OFFLOAD) < memory.needed()


def test_a_folder_that_cannot_be_read_is_taken_for_the_family(tmp_path):
    assert architecture(None) == architecture(tmp_path) == MODELSCOPE
    make_checkpoint(tmp_path / "m")
    assert architecture(tmp_path / "m").unet.block_out_channels == (8, 16)
    for damage in ("[]", "{", '{"block_out_channels": 4}'):
        (tmp_path / "m" / "unet" / "config.json").write_text(damage)
        assert architecture(tmp_path / "m") == MODELSCOPE


def needs(gib_resident):
    return Memory(text=1 * GIB, denoiser=3 * GIB, decoder=GIB // 2, denoising=int(gib_resident * GIB), decoding=0,
                  largest_layer=GIB // 4, reserved=GIB)


@pytest.mark.parametrize(("free", "mode"), [
    (8.0, RESIDENT), (7.5, RESIDENT), (7.4, MODEL_OFFLOAD), (6.0, MODEL_OFFLOAD),
    (5.9, SEQUENTIAL_OFFLOAD), (3.25, SEQUENTIAL_OFFLOAD), (3.2, None), (0, None)])
def test_the_fastest_memory_mode_that_fits_is_chosen(free, mode):
    assert memory_mode(needs(2.0), int(free * GIB)) == mode


def test_where_the_free_memory_is_not_known_the_weights_stay():
    assert memory_mode(needs(2.0), None) == RESIDENT


def test_modelscope_runs_on_small_cards_by_leaving_weights_outside():
    def mode(free_gib, frames, height, width):
        return memory_mode(needs_of_modelscope(Size(frames, height, width)), int(free_gib * GIB))

    assert mode(7.5, 24, 320, 576) == mode(5.5, 16, 256, 256) == RESIDENT
    assert mode(5.5, 24, 320, 576) != RESIDENT
    assert mode(2.5, 16, 256, 256) == SEQUENTIAL_OFFLOAD


@pytest.mark.parametrize("free_gib", [2.2, 3.0, 4.0, 6.0])
def test_the_offered_recipe_fits_and_one_more_frame_or_size_would_not(free_gib):
    free, asked = int(free_gib * GIB), Size(64, 576, 1024)
    found = nearest_that_fits(asked, MODELSCOPE.pixels_per_latent, needs_of_modelscope, "cuda", free)
    assert found

    def fits(size):
        return memory_mode(needs_of_modelscope(size), free) is not None

    for size in found:
        assert fits(size)
        assert size.width / size.height == pytest.approx(1024 / 576, rel=0.1)
        if (size.height, size.width) == (asked.height, asked.width):
            assert not fits(replace(size, num_frames=size.num_frames + 1))


def test_nothing_is_offered_where_nothing_fits():
    size, side = Size(16, 256, 256), MODELSCOPE.pixels_per_latent
    assert nearest_that_fits(size, side, needs_of_modelscope, "cuda", GIB) == ()
