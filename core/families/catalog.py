"""The models on this machine: the rows, and the folders that hold a model."""

from pathlib import Path

from core.domain.models import ModelSpec
from core.families.configurations import read_configuration
from core.families.registry import FAMILIES, MODELS, family_of, family_of_index

INDEX = "model_index.json"


def model_folder(models_dir: Path, key: str) -> Path | None:
    """The folder that holds model `key` on this machine, or None."""
    folder = models_dir / key
    return folder if (folder / INDEX).is_file() else None


def hub_repository(hub_cache: Path, spec: ModelSpec) -> Path | None:
    """The cache folder of the model's repository, even if it does not exist yet; None if the hub has none."""
    return hub_cache / f"models--{spec.repo_id.replace('/', '--')}" if spec.repo_id else None


def folder_on_disk(models_dir: Path, hub_cache: Path, spec: ModelSpec) -> Path | None:
    """Where the model is on this machine: its folder, or its pinned commit in the hub's cache; else None.

    A commit in the cache counts if its index is there and each part with weights has some. The cache makes a link
    only after a file has arrived completely.
    """
    folder, repository = model_folder(models_dir, spec.key), hub_repository(hub_cache, spec)
    if folder is not None or repository is None:
        return folder
    snapshot = repository / "snapshots" / (spec.revision or "")
    whole = (snapshot / INDEX).is_file() and all(
        any(path.is_file() for path in (snapshot / part).glob("*.safetensors"))
        for part in family_of(spec).layout.weighed)
    return snapshot if whole else None


def catalog(models_dir: Path) -> dict[str, ModelSpec]:
    """Every model that a request can name: the rows, then the other model folders by name."""
    found = dict(MODELS)
    if models_dir.is_dir():
        for folder in sorted(models_dir.iterdir()):
            if folder.name not in found and (folder / INDEX).is_file():
                found[folder.name] = _row_of(folder)
    return found


def _row_of(folder: Path) -> ModelSpec:
    """A row for a folder without one. A folder of an unknown family is refused at loading, with a sentence."""
    family = family_of_index(read_configuration(folder / INDEX) or {}) or next(iter(FAMILIES.values()))
    return family.row_of(folder)
