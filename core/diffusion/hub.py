"""A model folder fetched from the hub."""

from dataclasses import dataclass
from pathlib import Path

from core.errors import ModelUnavailable
from core.models import ModelSpec
from core.progress import OnProgress


@dataclass(frozen=True)
class Hub:
    """Which hub, and where its files are kept; None: the ones huggingface_hub is set up for."""

    endpoint: str | None = None
    cache_dir: Path | None = None


HUB = Hub()


def fetch(spec: ModelSpec, offline: bool, on_progress: OnProgress, place: Hub) -> Path:
    """The hub's folder of a model."""
    raise ModelUnavailable(f"{spec.title} is not on this machine.")
