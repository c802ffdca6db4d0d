"""The prompts as the UNet reads them: through tokenizer and text encoder."""

from typing import Any, Protocol

import torch

from core.diffusion.model import Source
from core.domain.models import NEGATIVE_PROMPT
from core.domain.recipe import Recipe


class Reader(Protocol):
    """The parts of a loaded model that read a prompt."""

    tokenizer: Any
    text_encoder: Any

    @property
    def source(self) -> Source:
        """The device on which the model works."""

    @property
    def tokens(self) -> int:
        """The number of tokens it reads."""


def embed(model: Reader, recipe: Recipe) -> tuple[torch.Tensor, tuple[str, ...]]:
    """Both prompts, or one without guidance.

    Returns:
        The embeddings: (2, tokens, width) with guidance, the negative prompt first, else (1, tokens, width). Then a
        sentence for each prompt written by the person that is longer than the model reads.
    """
    texts = [("prompt", recipe.prompt)]
    if recipe.guided:
        texts.insert(0, ("negative prompt", recipe.negative_prompt))
    embeds, notes = [], []
    for name, text in texts:
        written = len(model.tokenizer(text).input_ids)
        if written > model.tokens and text != NEGATIVE_PROMPT:
            notes.append(f"The {name} has {written} tokens; the model reads the first {model.tokens}.")
        tokens = model.tokenizer(text, padding="max_length", max_length=model.tokens, truncation=True,
                                    return_tensors="pt")
        asks_mask = getattr(model.text_encoder.config, "use_attention_mask", False)
        mask = tokens.attention_mask.to(model.source.device) if asks_mask else None
        embeds.append(model.text_encoder(tokens.input_ids.to(model.source.device), attention_mask=mask)[0])
    return torch.cat(embeds).to(model.source.dtype), tuple(notes)
