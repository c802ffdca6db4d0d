"""A real text-to-video model folder made tiny: random weights from a seed, every part of a diffusers folder.

It has the parts of a big one: UNet3D, VAE of factor 8, CLIP text encoder and tokenizer, scheduler, preview factors.
It makes 32×32 frames in milliseconds a step. Other prompts and seeds give other frames.
"""

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet3DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

TOKENS = 77
START, END = "<|startoftext|>", "<|endoftext|>"
MERGES = ("r e", "re d</w>", "b a", "ba l", "bal l</w>", "b l", "bl u", "blu e</w>", "c a", "ca t</w>")


def make_checkpoint(folder: Path, channels: int = 8, seed: int = 0, latent_channels: int = 4,
                    levels: int = 4) -> Path:
    """Write a complete model folder (safetensors, under 2 MB) into `folder` and return it.

    Args:
        channels: width of the first UNet level, a multiple of 4; other widths are other weights.
        seed: of the weights; the same seed writes the same bytes.
        latent_channels: between the UNet and the VAE.
        levels: of the VAE; a latent becomes 2 ** (levels - 1) pixels along a side.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokenizer = _tokenizer(folder / "tokenizer")
        _text_encoder(len(tokenizer)).save_pretrained(folder / "text_encoder")
        _unet(channels, latent_channels).save_pretrained(folder / "unet")
        _vae(latent_channels, levels).save_pretrained(folder / "vae")
    DDIMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, clip_sample=False,
                  set_alpha_to_one=False, steps_offset=1).save_pretrained(folder / "scheduler")
    _write_json(folder / "model_index.json", {
        "_class_name": "TextToVideoSDPipeline", "_diffusers_version": "0.42.1",
        "scheduler": ["diffusers", "DDIMScheduler"], "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"], "unet": ["diffusers", "UNet3DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    })
    _write_json(folder / "preview.json", {"factors": [[0.3, 0.1, 0.0]] * latent_channels, "bias": [0.5, 0.5, 0.5]})
    return folder


def _tokenizer(folder: Path) -> CLIPTokenizer:
    letters = [chr(code) for code in range(33, 127)]
    joined = [merge.replace(" ", "") for merge in MERGES]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *joined, START, END]
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "vocab.json", {token: number for number, token in enumerate(tokens)})
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(MERGES) + "\n", encoding="utf-8")
    _write_json(folder / "special_tokens_map.json", {
        "bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END})
    _write_json(folder / "tokenizer_config.json", {
        "tokenizer_class": "CLIPTokenizer", "model_max_length": TOKENS, "do_lower_case": True,
        "bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END, "add_prefix_space": False})
    return CLIPTokenizer.from_pretrained(folder, local_files_only=True)


def _text_encoder(vocabulary: int) -> CLIPTextModel:
    return CLIPTextModel(CLIPTextConfig(
        vocab_size=vocabulary, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=TOKENS, projection_dim=16, bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1, pad_token_id=vocabulary - 1)).eval()


def _unet(channels: int, latent_channels: int) -> UNet3DConditionModel:
    return UNet3DConditionModel(
        sample_size=4, in_channels=latent_channels, out_channels=latent_channels, layers_per_block=1,
        block_out_channels=(channels, 2 * channels), norm_num_groups=4, cross_attention_dim=16,
        attention_head_dim=4, down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D")).eval()


def _vae(latent_channels: int, levels: int) -> AutoencoderKL:
    vae = AutoencoderKL(
        latent_channels=latent_channels, block_out_channels=(8,) * levels, norm_num_groups=4, layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * levels, up_block_types=("UpDecoderBlock2D",) * levels,
        mid_block_add_attention=False).eval()
    with torch.no_grad():
        vae.decoder.conv_out.weight.mul_(2.0)
    return vae


def _write_json(path: Path, document: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
