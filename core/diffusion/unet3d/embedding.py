"""The prompts as the UNet reads them: through tokenizer and text encoder."""

import torch

from core.diffusion.unet3d.loader import Pipeline
from core.domain.models import NEGATIVE_PROMPT
from core.domain.request import VideoRequest


def embed(pipeline: Pipeline, request: VideoRequest) -> tuple[torch.Tensor, tuple[str, ...]]:
    """Both prompts, or one without guidance.

    Returns:
        (2, tokens, width) with guidance, the negative prompt first, else (1, tokens, width); and a sentence for
        each prompt of the person's own that is longer than the model reads.
    """
    texts = [("prompt", request.prompt)]
    if request.guidance_scale > 1:
        texts.insert(0, ("negative prompt", request.negative_prompt))
    embeds, notes = [], []
    for name, text in texts:
        written = len(pipeline.tokenizer(text).input_ids)
        if written > pipeline.tokens and text != NEGATIVE_PROMPT:
            notes.append(f"The {name} has {written} tokens; the model reads the first {pipeline.tokens}.")
        tokens = pipeline.tokenizer(text, padding="max_length", max_length=pipeline.tokens, truncation=True,
                                    return_tensors="pt")
        asks_mask = getattr(pipeline.text_encoder.config, "use_attention_mask", False)
        mask = tokens.attention_mask.to(pipeline.device) if asks_mask else None
        embeds.append(pipeline.text_encoder(tokens.input_ids.to(pipeline.device), attention_mask=mask)[0])
    return torch.cat(embeds).to(pipeline.dtype), tuple(notes)
