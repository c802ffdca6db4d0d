"""What can be said before a video runs: words the model does not know, prompts that suit it, causes."""

import json
import re
from collections.abc import Container
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from core.models import ModelSpec, model_folder
from core.modes import MODES
from core.receipt import Environment, LoadedModel, Receipt, environment_causes, method_causes, model_causes

_WORD = re.compile(r"[^\W\d_]+(?:'[a-z]+)?")


@dataclass(frozen=True)
class Forecast:
    """What making a video again here will do differently.

    Attributes:
        causes: the differences that are certain, one sentence each.
        known: whether these are all; False while the worker has not said what its machine and its model are.
    """

    causes: tuple[str, ...] = ()
    known: bool = False


def expected_causes(receipt: Receipt, now: Environment | None, warm: LoadedModel | None,
                    models: Container[str]) -> Forecast:
    """What this machine would do differently from the one of `receipt`.

    Args:
        now: what the worker said of this machine; while it is unknown, only installed versions are compared.
        warm: the model that is loaded in the worker; of any other nothing is known before it is loaded.
        models: keys of the models that can be asked for here.
    """
    before = receipt.environment
    causes: tuple[str, ...] = ()
    if receipt.model not in models:
        causes += (f"the model {receipt.model} is not known here",)
    same_model = warm is not None and warm.model == receipt.model
    if same_model:
        causes += model_causes(receipt, warm)
    known = now is not None and same_model
    if now is None:
        now = replace(before, versions={**before.versions, **_other_versions(before.versions)})
    mode = MODES.get(receipt.method.get("mode", ""))
    if mode is not None:
        causes += method_causes(receipt.method, mode.document(now.device))
    return Forecast(causes + environment_causes(before, now), known)


def _other_versions(packages: dict[str, str]) -> dict[str, str]:
    """Those `packages` that are installed in another version; which build (`+cpu`) only the worker knows."""
    found = {}
    for package, version in packages.items():
        try:
            installed = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
        if installed.partition("+")[0] != version.partition("+")[0]:
            found[package] = installed
    return found


def unknown_words(models_dir: Path, model: str, prompt: str) -> tuple[str, ...]:
    """Words of the prompt, in lower case, that the model's own word list lacks; none where it ships no list."""
    vocabulary = _vocabulary(models_dir, model)
    if vocabulary is None:
        return ()
    known = set(vocabulary["words"])
    words = dict.fromkeys(word.lower() for word in _WORD.findall(prompt))
    return tuple(word for word in words if word not in known)


def prompt_examples(models_dir: Path, spec: ModelSpec) -> tuple[str, ...]:
    """Prompts that suit the model: its folder's own, else those of its row."""
    vocabulary = _vocabulary(models_dir, spec.key)
    return tuple(vocabulary["examples"]) if vocabulary and vocabulary.get("examples") else spec.examples


def _vocabulary(models_dir: Path, model: str) -> dict[str, list[str]] | None:
    """The "words" and "examples" of a model folder; None where there is no such file, or it is something else."""
    folder = model_folder(models_dir, model)
    if folder is None:
        return None
    try:
        document = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(document, dict) or not _is_texts(document.get("words")) \
            or not _is_texts(document.get("examples", [])):
        return None
    return document


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)
