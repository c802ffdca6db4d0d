"""The tokenizer: CLIP's byte-pair encoding. Its merges make every known word one token.

The ids are, in order, three special tokens, the known words, and the pieces of other words. A piece has no meaning
here. In training the unknown token replaces every piece. In the saved text encoder all pieces have the embedding of
the unknown token. So "a fluffy red ball" is "a red ball" with an unknown word inside.
"""

from collections import Counter

import numpy as np
import torch
from transformers import CLIPTokenizer

from scripts.demo_model.captions import vocabulary

START, END, UNKNOWN = "<|startoftext|>", "<|endoftext|>", "<|unknown|>"
UNKNOWN_ID = 2


def known_tokens() -> int:
    """The number of ids with a meaning: the special tokens and the known words."""
    return 3 + len(vocabulary())


def _merges(words: list[str]) -> list[tuple[str, str]]:
    """Learn byte-pair merges until each word is one symbol: the most frequent pair first, ties by spelling."""
    spelled = [[*word[:-1], word[-1] + "</w>"] for word in words]
    merges = []
    while any(len(symbols) > 1 for symbols in spelled):
        pairs = Counter(pair for symbols in spelled for pair in zip(symbols, symbols[1:], strict=False))
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for symbols in spelled:
            place = 0
            while place < len(symbols) - 1:
                if (symbols[place], symbols[place + 1]) == best:
                    symbols[place : place + 2] = ["".join(best)]
                place += 1
    return merges


def build_tokenizer(length: int) -> CLIPTokenizer:
    """Build the tokenizer; `length` is the maximum number of tokens of a prompt, with start and end."""
    words = vocabulary()
    merges = _merges(words)
    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = [*letters, *(letter + "</w>" for letter in letters), *("".join(pair) for pair in merges)]
    tokens = dict.fromkeys([START, END, UNKNOWN, *(word + "</w>" for word in words), *pieces])
    return CLIPTokenizer(
        vocab={token: number for number, token in enumerate(tokens)},
        merges=merges,
        unk_token=UNKNOWN,
        bos_token=START,
        eos_token=END,
        pad_token=END,
        model_max_length=length,
    )


def encode(tokenizer: CLIPTokenizer, prompts: list[str]) -> torch.Tensor:
    """Return padded token ids, int64 (N, L), with the unknown token for every piece."""
    ids = tokenizer(
        prompts,
        padding="max_length",
        truncation=True,
        max_length=tokenizer.model_max_length,
        return_tensors="pt",
    ).input_ids
    return ids.masked_fill(ids >= known_tokens(), UNKNOWN_ID)


def invented_word(rng: np.random.Generator) -> str:
    """Invent an unknown word of two to four syllables."""
    syllables = rng.choice(list("bcdfghjklmnprstvwz"), 4), rng.choice(list("aeiou"), 4)
    pairs = zip(*syllables, strict=True)
    return "".join(a + b for a, b in list(pairs)[: int(rng.integers(2, 5))]) + "q"


def disturbed(text: str, rng: np.random.Generator, unconditional: float) -> str:
    """Add unknown words to training prompts, so that the model learns to ignore them, and empty some prompts.

    A share `unconditional` becomes empty or only unknown words, because the usual negative prompts look so to this
    model. One in five of the other prompts gets one or two unknown words in random places.
    """
    if rng.random() < unconditional:
        return " ".join(invented_word(rng) for _ in range(int(rng.integers(0, 2)) * int(rng.integers(1, 8))))
    if rng.random() < 0.2:
        parts = text.split()
        for _ in range(int(rng.integers(1, 3))):
            parts.insert(int(rng.integers(len(parts) + 1)), invented_word(rng))
        return " ".join(parts)
    return text
