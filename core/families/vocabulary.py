"""The words a model knows, if it ships a list of them, and prompts that suit it."""

import re
from pathlib import Path
from typing import Any

from core.domain.models import ModelSpec
from core.families.catalog import model_folder
from core.families.configurations import read_configuration

_WORD = re.compile(r"[^\W\d_]+(?:'[a-z]+)?")


def unknown_words(models_dir: Path, model: str, prompt: str) -> tuple[str, ...]:
    """Words of the prompt, in lower case, that the model's word list lacks; empty if the model ships no list."""
    vocabulary = _vocabulary(models_dir, model)
    if vocabulary is None:
        return ()
    known = set(vocabulary["words"])
    words = dict.fromkeys(word.lower() for word in _WORD.findall(prompt))
    return tuple(word for word in words if word not in known)


def prompt_examples(models_dir: Path, spec: ModelSpec) -> tuple[str, ...]:
    """Prompts that suit the model: those of its folder, else those of its row."""
    vocabulary = _vocabulary(models_dir, spec.key)
    return tuple(vocabulary["examples"]) if vocabulary and vocabulary.get("examples") else spec.examples


def _vocabulary(models_dir: Path, model: str) -> dict[str, list[str]] | None:
    """The "words" and "examples" of a model folder; None if there is no such file, or it holds another value."""
    folder = model_folder(models_dir, model)
    if folder is None:
        return None
    document = read_configuration(folder / "vocabulary.json")
    if document is None or not _is_texts(document.get("words")) \
            or not _is_texts(document.get("examples", [])):
        return None
    return document


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)
