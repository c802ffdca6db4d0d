"""Every family, and every model that has a row. A new family is one row here and a folder beside this file."""

from core.domain.models import ModelSpec, SchedulerSpec
from core.families.family import Family
from core.families.unet3d.family import UNet3D

FAMILIES: dict[str, Family] = {family.key: family for family in (UNet3D(),)}

MODELS: dict[str, ModelSpec] = {row.key: row for family in FAMILIES.values() for row in family.rows}

SCHEDULERS: dict[str, SchedulerSpec] = {
    key: row for family in FAMILIES.values() for key, row in family.schedulers.items()}


def family_of(spec: ModelSpec) -> Family:
    """The family of a model."""
    return FAMILIES[spec.family]


def family_of_index(index: dict[str, object]) -> Family | None:
    """The family of the pipeline that a `model_index.json` names, or None."""
    return next((family for family in FAMILIES.values() if family.layout.pipeline == index.get("_class_name")), None)


def default_model(device: str) -> str:
    """The model of a request that names none, on a worker's `device`: ModelScope 1.7B on a GPU, else the demo."""
    return "modelscope-1.7b" if device == "cuda" else "demo"
