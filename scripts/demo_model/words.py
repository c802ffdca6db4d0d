"""Teaches the text encoder alone the meaning of captions, before any training on pictures.

This takes a minute, and all later stages need it. From a denoising loss the text encoder learns the colours early, but
its outputs for different shapes and motions remain nearly equal. Then the UNet learns little about them. So linear
readers of every position from the end token on must name each part of the clip. They are not part of the model folder.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import CLIPTokenizer

from scripts.demo_model.captions import caption
from scripts.demo_model.scenes import SCENES
from scripts.demo_model.tokens import disturbed, encode
from scripts.demo_model.world import BACKGROUNDS, COLOURS, MOTIONS, SHAPES, Clip, draw_clip

PARTS: dict[str, tuple[str, ...]] = {
    "kind": ("single", "pair", "scene"),
    "shape": SHAPES,
    "colour": tuple(COLOURS),
    "motion": MOTIONS,
    "background": tuple(BACKGROUNDS),
    "second_shape": SHAPES,
    "second_colour": tuple(COLOURS),
    "scene": tuple(SCENES),
}
"""The parts of a clip and their possible answers. A part that a clip does not have is not counted."""
NOTHING = -100
"""The answer for a part that a clip does not have."""


def draw_captions(tokenizer: CLIPTokenizer, seed: int, step: int, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw one step's captions: token ids (B, L), and the number of each part's answer, int64 (B, len(PARTS))."""
    rng = np.random.default_rng([seed, 0, step])
    clips = [draw_clip(rng) for _ in range(batch)]
    texts = [disturbed(caption(clip, rng), rng, unconditional=0.0) for clip in clips]
    return encode(tokenizer, texts), torch.tensor([_answers(clip) for clip in clips])


def _answers(clip: Clip) -> list[int]:
    said = [(getattr(clip, part), answers) for part, answers in PARTS.items()]
    return [answers.index(value) if value in answers else NOTHING for value, answers in said]


class WordReaders(nn.Module):
    """A linear reader for each part of a clip, of text features of the given width."""

    def __init__(self, width: int) -> None:
        """Create untrained readers."""
        super().__init__()
        self.readers = nn.ModuleList(nn.Linear(width, len(answers)) for answers in PARTS.values())

    def forward(
        self, features: torch.Tensor, ended: torch.Tensor, answers: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (sum of the parts' cross entropies, share of right answers).

        `features` is (B, L, width). `ended` (B, L) is true from the end token on. `answers` is (B, len(PARTS)).
        """
        losses, right, asked = [], torch.zeros(()), torch.zeros(())
        for number, reader in enumerate(self.readers):
            scores = reader(features[ended])
            wanted = answers[:, number, None].expand_as(ended)[ended]
            known = wanted != NOTHING
            if known.any():
                losses.append(functional.cross_entropy(scores[known], wanted[known]))
            right = right + (scores.argmax(-1) == wanted)[known].sum().cpu()
            asked = asked + known.sum().cpu()
        return torch.stack(losses).sum(), right / asked
