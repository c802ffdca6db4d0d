"""Text encoder and UNet as they train: the networks, their stages, and the batches they see.

First single frames, which cost far less than a clip and teach words, colours, shapes and backgrounds; then where
a frame stands in its clip (`positions`); then whole clips, which teach motion, with single frames now and then
where the recipe says so. Temporal convolutions and temporal attention begin by adding nothing, and single frames
leave them out altogether, so a stage's weights mean the same in the next. The target is the velocity
(v-prediction), on a noise schedule that ends in practically pure noise (signal amplitude 0.002), so that sampling
may start from noise. All times count alike: min-SNR weights were tried, and starve the noisy end. For clips more
than half of the times are drawn around the middle of the schedule, where it is decided what is where. Nothing
uses dropout: the networks stay in eval mode, and a batch is a function of the seed and the step.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, UNet3DConditionModel
from diffusers.models.resnet import TemporalConvLayer
from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel
from numpy.typing import NDArray
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from scripts.demo_model.captions import caption
from scripts.demo_model.recipe import Recipe
from scripts.demo_model.tokens import UNKNOWN_ID, build_tokenizer, disturbed, encode, known_tokens
from scripts.demo_model.world import Clip

SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_start": 0.0001,
    "beta_end": 0.025,
    "beta_schedule": "linear",
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
}


def build_scheduler() -> DPMSolverMultistepScheduler:
    """Build the default sampler of the shipped checkpoint; others are made from its config."""
    return DPMSolverMultistepScheduler(**SCHEDULE, algorithm_type="dpmsolver++", solver_order=2)


def _pass_on(hidden_states: torch.Tensor, **_: Any) -> torch.Tensor:
    return hidden_states


def _pass_on_in_tuple(hidden_states: torch.Tensor, **_: Any) -> tuple[torch.Tensor]:
    return (hidden_states,)


class Denoiser(nn.Module):
    """The two networks that train together, as one module."""

    def __init__(self, recipe: Recipe, tokenizer: CLIPTokenizer) -> None:
        """Build both untrained, from the recipe's seed."""
        super().__init__()
        torch.manual_seed(recipe.seed + 1)
        self.text = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=recipe.text_width,
                intermediate_size=recipe.text_width * 3,
                num_hidden_layers=recipe.text_layers,
                num_attention_heads=max(1, recipe.text_width // 32),
                max_position_embeddings=recipe.text_tokens,
                projection_dim=recipe.text_width,
                hidden_act="gelu",
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        )
        kinds = ["CrossAttn" if attends else "" for attends in recipe.unet_attention]
        self.unet = UNet3DConditionModel(
            sample_size=recipe.size // 8,
            in_channels=recipe.latent_channels,
            out_channels=recipe.latent_channels,
            down_block_types=tuple(f"{kind}DownBlock3D" for kind in kinds),
            up_block_types=tuple(f"{kind}UpBlock3D" for kind in reversed(kinds)),
            block_out_channels=recipe.unet_channels,
            layers_per_block=recipe.unet_layers,
            norm_num_groups=min(16, recipe.unet_channels[0] // 4),
            cross_attention_dim=recipe.text_width,
            attention_head_dim=recipe.head_size,
        )
        for module in self.temporal():
            if isinstance(module, TransformerTemporalModel):
                nn.init.zeros_(module.proj_out.weight)
                nn.init.zeros_(module.proj_out.bias)
        self.eval()

    def temporal(self) -> list[nn.Module]:
        """The modules that look across frames."""
        kinds = (TemporalConvLayer, TransformerTemporalModel)
        return [module for module in self.unet.modules() if isinstance(module, kinds)]

    def parameter_groups(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """All parameters but the temporal modules', and theirs, which begin later and learn at a higher rate."""
        temporal = {id(value) for module in self.temporal() for value in module.parameters()}
        return (
            [value for value in self.parameters() if id(value) not in temporal],
            [value for value in self.parameters() if id(value) in temporal],
        )

    def leave_out_time(self, out: bool) -> None:
        """Make every temporal module pass its input on, for single frames, or let it work again."""
        for module in self.temporal():
            if out:
                module.forward = _pass_on if isinstance(module, TemporalConvLayer) else _pass_on_in_tuple
            else:
                vars(module).pop("forward", None)

    def forward(self, noisy: torch.Tensor, times: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """Predict the velocity (B, C, F, h, w) at the noisy latents, times (B,) and token ids (B, L)."""
        words = self.text(ids)[0]
        return self.unet(noisy, times, encoder_hidden_states=words, return_dict=False)[0]

    @torch.no_grad()
    def spread_unknown(self) -> None:
        """Give every piece of an unknown word the embedding of the unknown token."""
        table = self.text.get_input_embeddings().weight
        table[known_tokens() :] = table[UNKNOWN_ID]


@dataclass(frozen=True)
class Stage:
    """One stage: its name, how many frames a sample has, its batch, steps and peak rate."""

    name: str
    frames: int
    batch: int
    steps: int
    rate: float


def stages(recipe: Recipe) -> tuple[Stage, Stage, Stage]:
    """The recipe's stages, in order: single frames, the frames' places, whole clips."""
    half = max(1, recipe.clip_batch // 2)
    return (
        Stage("stills", 1, recipe.still_batch, recipe.still_steps, recipe.still_rate),
        Stage("positions", recipe.frames, half, recipe.position_steps, recipe.position_rate),
        Stage("clips", recipe.frames, recipe.clip_batch, recipe.clip_steps, recipe.clip_rate),
    )


class Batches:
    """Training batches by number: latents, noise, times and token ids."""

    def __init__(
        self, recipe: Recipe, tokenizer: CLIPTokenizer, clips: list[Clip], latents: NDArray[np.float16]
    ) -> None:
        """Keep what batches are made of; `latents` are scaled, (N, C, F, h, w)."""
        self.recipe, self.tokenizer, self.clips, self.latents = recipe, tokenizer, clips, latents
        self.amplitudes = DDIMScheduler(**SCHEDULE).alphas_cumprod

    def batch(self, stage: Stage, step: int) -> tuple[torch.Tensor, ...]:
        """Give (noisy, times, ids, target) of one step, on the CPU in float32."""
        rng = np.random.default_rng([self.recipe.seed, stage.frames, step])
        picks = rng.integers(len(self.clips), size=stage.batch)
        clean = self.latents[np.sort(picks)].astype(np.float32)
        picks = np.sort(picks)
        if stage.frames == 1:
            moments = rng.integers(self.recipe.frames, size=stage.batch)
            clean = np.stack(
                [clip[:, moment : moment + 1] for clip, moment in zip(clean, moments, strict=True)]
            )
        texts = [disturbed(caption(self.clips[pick], rng), rng, self.recipe.unconditional) for pick in picks]
        latents = torch.from_numpy(clean)
        noise = torch.from_numpy(rng.standard_normal(clean.shape, dtype=np.float32))
        spread = (np.arange(stage.batch) + rng.random(stage.batch)) / stage.batch
        if stage.frames > 1:
            near = np.clip(0.5 + 0.16 * rng.standard_normal(stage.batch), 0.02, 0.999)
            spread = np.where(rng.random(stage.batch) < self.recipe.middle, near, spread)
        times = torch.from_numpy(rng.permutation((spread * 1000).astype(np.int64)))
        kept = self.amplitudes[times]
        signal, grain = kept.sqrt().view(-1, 1, 1, 1, 1), (1 - kept).sqrt().view(-1, 1, 1, 1, 1)
        noisy, target = signal * latents + grain * noise, signal * noise - grain * latents
        return noisy, times, encode(self.tokenizer, texts), target


def tokenizer_for(recipe: Recipe) -> CLIPTokenizer:
    """The recipe's tokenizer."""
    return build_tokenizer(recipe.text_tokens)
