"""The models on this machine."""

import json
from dataclasses import replace
from pathlib import Path

from core.domain.models import Defaults, Limits, ModelSpec, Range
from core.families.registry import MODELS
from core.families.unet3d.shape import architecture


def model_folder(models_dir: Path, key: str) -> Path | None:
    """The folder that holds model `key` on this machine, or None."""
    folder = models_dir / key
    return folder if (folder / "model_index.json").is_file() else None


def folder_on_disk(models_dir: Path, hub_cache: Path, spec: ModelSpec) -> Path | None:
    """Where the model is on this machine: its own folder, or its pinned commit in the hub's cache; else None.

    A commit in the cache counts when its index is there and each part with weights has some: the cache's links
    are made when a file has arrived whole.
    """
    folder = model_folder(models_dir, spec.key)
    if folder is not None or spec.repo_id is None:
        return folder
    snapshot = hub_cache / f"models--{spec.repo_id.replace('/', '--')}" / "snapshots" / (spec.revision or "")
    whole = (snapshot / "model_index.json").is_file() and all(
        any(path.is_file() for path in (snapshot / part).glob("*.safetensors"))
        for part in ("text_encoder", "unet", "vae"))
    return snapshot if whole else None


def catalog(models_dir: Path) -> dict[str, ModelSpec]:
    """Every model that can be asked for: the rows, then the other model folders by name."""
    found = dict(MODELS)
    if models_dir.is_dir():
        for folder in sorted(models_dir.iterdir()):
            if folder.name not in found and (folder / "model_index.json").is_file():
                found[folder.name] = _local(folder)
    return found


def _local(folder: Path) -> ModelSpec:
    """A row for a model folder that has none: generic limits, sizes as its own configurations name them."""
    try:
        config = json.loads((folder / "unet" / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        config = None
    size = config.get("sample_size") if isinstance(config, dict) else None
    step = architecture(folder).pixels_per_latent
    side = size * step if isinstance(size, int) and 0 < size * step <= 1024 else 256
    return replace(
        MODELS["modelscope-1.7b"],
        key=folder.name, title=folder.name, summary="A model folder on this machine.",
        defaults=Defaults(16, 25, 9.0, 8, side, side),
        limits=Limits(width=Range(step, 1024, step), height=Range(step, 1024, step)),
        licence="unknown", permitted_use="See the licence of the checkpoint.",
        repo_id=None, revision=None, variant=None, examples=(), needs_cuda=False,
        download_bytes=0, memory_bytes=0,
    )
