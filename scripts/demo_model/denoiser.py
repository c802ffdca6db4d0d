"""Text encoder and UNet in training: the networks, their stages, and their batches.

1. The text encoder alone learns the meaning of captions (`words`).
2. Text encoder and UNet learn from single frames, which cost far less than a clip. Each frame comes with its place in
   the clip. It teaches colours, shapes, backgrounds and the position of the shape at that time (`shape_reader`).
3. The temporal convolutions learn to find the place without this help (`positions`).
4. Complete clips teach that frames belong together. The recipe may add some batches of single frames.

Modules that look across frames begin by adding zeros, and single frames skip them. So the weights of a stage mean the
same in the next. The target is the velocity (v-prediction). The noise schedule ends in nearly pure noise (signal
amplitude 0.002), so that sampling may start from noise. Min-SNR weights were tried; they give the noisy end too little
weight. Instead a share of the times is drawn from the noisy half of the schedule. This half decides the places of
things. No network uses dropout: the networks stay in eval mode. A batch depends only on the seed and the step.
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
    """Build the default sampler of the shipped model; the other samplers use its config."""
    return DPMSolverMultistepScheduler(**SCHEDULE, algorithm_type="dpmsolver++", solver_order=2)


class Denoiser(nn.Module):
    """The two networks that train together, and the table of places, as one module."""

    def __init__(self, recipe: Recipe, tokenizer: CLIPTokenizer) -> None:
        """Build all parts untrained, from the recipe's seed."""
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
        """Three groups with different learning rates: most parameters, the temporal modules, the table of places."""
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

        With `places` (B,) the samples are independent single frames (F = 1); a place is the frame's number in its clip.
        """
        words = self.text(ids)[0]
        if places is None:
            return self.unet(noisy, times, encoder_hidden_states=words, return_dict=False)[0]
        with single_frames(self.unet, self.places.table[places]):
            return self.unet(noisy, times, encoder_hidden_states=words, return_dict=False)[0]

    @torch.no_grad()
    def spread_unknown(self) -> None:
        """Set the embedding of every piece of an unknown word to that of the unknown token."""
        table = self.text.get_input_embeddings().weight
        table[known_tokens() :] = table[UNKNOWN_ID]


@dataclass(frozen=True)
class Stage:
    """One stage: its name, the frames of a sample, its batch, steps and peak rate."""

    name: str
    frames: int
    batch: int
    steps: int
    rate: float


def stages(recipe: Recipe) -> tuple[Stage, Stage, Stage, Stage]:
    """The recipe's stages, in order: words, single frames, the frames' places, complete clips."""
    half = max(1, recipe.clip_batch // 2)
    return (
        Stage("words", 0, recipe.word_batch, recipe.word_steps, recipe.word_rate),
        Stage("stills", 1, recipe.still_batch, recipe.still_steps, recipe.still_rate),
        Stage("positions", recipe.frames, half, recipe.position_steps, recipe.position_rate),
        Stage("clips", recipe.frames, recipe.clip_batch, recipe.clip_steps, recipe.clip_rate),
    )


NOISY = 0.5
"""From this share of the schedule a sample is so noisy that its text decides the places of things."""

FINE = 0.4
"""Up to this share of the schedule a sample shows the places of things, and only its outlines are undecided."""


class Batch(NamedTuple):
    """B samples of F frames.

    noisy, target: noisy latents and velocity (B, C, F, h, w); times: (B,); ids: token ids (B, L); places: places of
    single frames (B,), 0 for clips; truth: position, size and turn of the shapes (B, F, 5), see `whereabouts`.
    """

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
        """Store the sources of the batches; `latents` are scaled, (N, C, F, h, w)."""
        self.recipe, self.tokenizer, self.clips, self.latents = recipe, tokenizer, clips, latents
        self.whereabouts = [whereabouts(clip, recipe.frames) for clip in clips]
        self.again = [number for number, clip in enumerate(clips) if recipe.again == (clip.scene or clip.kind)]
        self.amplitudes = DDIMScheduler(**SCHEDULE).alphas_cumprod

    def captions(self, stage: Stage, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw only captions for one step, of any clips: token ids (B, L) and their answers (see `words`)."""
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
