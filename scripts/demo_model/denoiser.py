"""Text encoder and UNet as they train: the networks, their stages, and the batches they see.

First the text encoder alone learns what captions say (`words`). Then single frames, which cost far less than a
clip: told their place in it, they teach colours, shapes, backgrounds and what is where when (`whereabouts`). Then
the temporal convolutions learn to tell the place by themselves (`positions`); then whole clips, which teach that
frames belong together, with single frames now and then where the recipe says so. What looks across frames
begins by adding nothing, and single frames leave it out altogether, so a stage's weights mean the same
in the next. The target is the velocity (v-prediction), on a noise schedule that ends in practically pure noise
(signal amplitude 0.002), so that sampling may start from noise. Min-SNR weights were tried, and starve the noisy
end; instead a share of the times is drawn from the noisy half of the schedule, where it is decided what is where.
Nothing uses dropout: the networks stay in eval mode, and a batch is a function of the seed and the step.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, UNet3DConditionModel
from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel
from numpy.typing import NDArray
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from scripts.demo_model.captions import caption
from scripts.demo_model.positions import FramePlaces, single_frames, temporal_modules
from scripts.demo_model.recipe import Recipe
from scripts.demo_model.shape_reader import whereabouts
from scripts.demo_model.tokens import UNKNOWN_ID, build_tokenizer, disturbed, encode, known_tokens
from scripts.demo_model.words import draw_captions
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


class Denoiser(nn.Module):
    """The two networks that train together, and the table of places, as one module."""

    def __init__(self, recipe: Recipe, tokenizer: CLIPTokenizer) -> None:
        """Build all untrained, from the recipe's seed."""
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
            sample_size=recipe.size // recipe.factor,
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
        self.places = FramePlaces(recipe.frames, recipe.unet_channels[-1])
        for module in temporal_modules(self.unet):
            if isinstance(module, TransformerTemporalModel):
                nn.init.zeros_(module.proj_out.weight)
                nn.init.zeros_(module.proj_out.bias)
        self.eval()

    def parameter_groups(self) -> tuple[list[nn.Parameter], list[nn.Parameter], list[nn.Parameter]]:
        """Parameters that learn at different rates: most, those of temporal modules, the table of places."""
        temporal = {id(value) for module in temporal_modules(self.unet) for value in module.parameters()}
        own = [*self.text.parameters(), *self.unet.parameters()]
        return (
            [value for value in own if id(value) not in temporal],
            [value for value in own if id(value) in temporal],
            list(self.places.parameters()),
        )

    def forward(
        self, noisy: torch.Tensor, times: torch.Tensor, ids: torch.Tensor, places: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Predict the velocity (B, C, F, h, w) at the noisy latents, times (B,) and token ids (B, L).

        With `places` (B,), which frame of a clip each is, the samples are single frames (F = 1) that see no other.
        """
        words = self.text(ids)[0]
        if places is None:
            return self.unet(noisy, times, encoder_hidden_states=words, return_dict=False)[0]
        with single_frames(self.unet, self.places.table[places]):
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


def stages(recipe: Recipe) -> tuple[Stage, Stage, Stage, Stage]:
    """The recipe's stages, in order: words, single frames, the frames' places, whole clips."""
    half = max(1, recipe.clip_batch // 2)
    return (
        Stage("words", 0, recipe.word_batch, recipe.word_steps, recipe.word_rate),
        Stage("stills", 1, recipe.still_batch, recipe.still_steps, recipe.still_rate),
        Stage("positions", recipe.frames, half, recipe.position_steps, recipe.position_rate),
        Stage("clips", recipe.frames, recipe.clip_batch, recipe.clip_steps, recipe.clip_rate),
    )


NOISY = 0.5
"""From this share of the schedule on a sample is so noisy that its text decides what is where."""

FINE = 0.4
"""Up to this share of the schedule a sample shows what is where, and its outlines are what is left to decide."""


class Batch(NamedTuple):
    """B samples of F frames: noisy latents and velocity (B, C, F, h, w), times (B,), token ids (B, L), the frames'
    places (B,), which are 0 for clips, and the shapes' whereabouts (B, F, 5)."""

    noisy: torch.Tensor
    times: torch.Tensor
    ids: torch.Tensor
    target: torch.Tensor
    places: torch.Tensor
    truth: torch.Tensor


class Batches:
    """Training batches by number."""

    def __init__(
        self, recipe: Recipe, tokenizer: CLIPTokenizer, clips: list[Clip], latents: NDArray[np.float16]
    ) -> None:
        """Keep what batches are made of; `latents` are scaled, (N, C, F, h, w)."""
        self.recipe, self.tokenizer, self.clips, self.latents = recipe, tokenizer, clips, latents
        self.whereabouts = [whereabouts(clip, recipe.frames) for clip in clips]
        self.again = [number for number, clip in enumerate(clips) if recipe.again == (clip.scene or clip.kind)]
        self.amplitudes = DDIMScheduler(**SCHEDULE).alphas_cumprod

    def captions(self, stage: Stage, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw one step's captions alone, of any clips: token ids (B, L) and what they say (see `words`)."""
        return draw_captions(self.tokenizer, self.recipe.seed, step, stage.batch)

    def batch(self, stage: Stage, step: int) -> Batch:
        """Draw one step's samples, on the CPU in float32."""
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, stage.frames, step])
        picks = rng.integers(len(self.clips), size=stage.batch)
        if self.again:
            picks[::4] = rng.choice(self.again, size=len(picks[::4]))
        picks = np.sort(picks)
        clean = self.latents[picks].astype(np.float32)
        truth = np.stack([self.whereabouts[pick] for pick in picks])
        places = np.zeros(stage.batch, np.int64)
        if stage.frames == 1:
            places = rng.integers(recipe.frames, size=stage.batch)
            each = np.arange(stage.batch)
            clean, truth = clean[each, :, places][:, :, None], truth[each, places][:, None]
        texts = []
        for number, pick in enumerate(picks):
            asked = caption(self.clips[pick], rng)
            texts.append(disturbed(asked, rng, recipe.unconditional))
            if not set(asked.split()) & set(texts[-1].split()):
                truth[number] = np.nan
        latents = torch.from_numpy(clean)
        noise = torch.from_numpy(rng.standard_normal(clean.shape, dtype=np.float32))
        spread = (np.arange(stage.batch) + rng.random(stage.batch)) / stage.batch
        upper = rng.random(stage.batch) < recipe.noisy
        spread = np.where(upper, NOISY + (1 - NOISY) * spread, spread)
        if recipe.fine:
            spread = np.where(rng.random(stage.batch) < recipe.fine, FINE * spread, spread)
        times = torch.from_numpy(rng.permutation((spread * 1000).astype(np.int64)))
        kept = self.amplitudes[times]
        signal, grain = kept.sqrt().view(-1, 1, 1, 1, 1), (1 - kept).sqrt().view(-1, 1, 1, 1, 1)
        return Batch(
            noisy=signal * latents + grain * noise,
            times=times,
            ids=encode(self.tokenizer, texts),
            target=signal * noise - grain * latents,
            places=torch.from_numpy(places),
            truth=torch.from_numpy(truth),
        )


def tokenizer_for(recipe: Recipe) -> CLIPTokenizer:
    """The recipe's tokenizer."""
    return build_tokenizer(recipe.text_tokens)
