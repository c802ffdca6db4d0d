"""A model folder becomes a loaded model: found or fetched, checked, hashed; its family then loads it class by class.

We do not let the library load a complete pipeline: it imports classes that a file names and falls back to pickles.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from core.diffusion import hub
from core.diffusion.device import device_of, dtype_of
from core.diffusion.failures import meaning
from core.diffusion.model import Source
from core.diffusion.placement import free_bytes
from core.domain.models import ModelSpec
from core.domain.progress import OnProgress, Progress
from core.domain.recipe import Size
from core.errors import ModelUnavailable
from core.families import model_folder
from core.families.catalog import model_folder as own_folder
from core.families.cost import RESIDENT, memory_mode
from core.families.family import Shape
from core.families.registry import family_of
from core.settings import Settings


@dataclass(frozen=True)
class Found:
    """A checked model folder, ready to be loaded.

    Attributes:
        variants: the weight variant of each part ("fp16", or None for plain).
        rest: where the weights wait: on the device, or in main memory if the device is too small for them.
        alive: called after each part; may raise to stop.
    """

    source: Source
    shape: Shape
    variants: dict[str, str | None]
    rest: torch.device
    alive: Callable[[], None]

    def part(self, kind: Any, name: str) -> Any:
        """Load a part with weights, of the class `kind`, ready to work. Raises ModelUnavailable."""
        source = self.source
        loaded = settle(_part(kind, source.folder / name, self.variants[name], source.dtype), self.rest)
        self.alive()
        return loaded

    def tokenizer(self, kind: Any, name: str = "tokenizer") -> Any:
        """Load a tokenizer of the class `kind`. Raises ModelUnavailable."""
        folder = self.source.folder / name
        return _readable(folder, lambda: kind.from_pretrained(folder, local_files_only=True))

    def scheduler_config(self) -> dict[str, Any]:
        """The scheduler configuration of the training. Raises ModelUnavailable."""
        return model_folder.read_json(self.source.folder / "scheduler" / "scheduler_config.json")


def locate(spec: ModelSpec, settings: Settings, on_progress: OnProgress, place: hub.Hub = hub.HUB) -> Path:
    """The folder of a model: one of that name in the models directory, else the hub's, fetched if necessary.

    Raises:
        ModelUnavailable: there is none and it cannot be fetched; the text tells what to do.
        Cancelled: from `on_progress`; the bytes fetched so far stay and are used next time.
    """
    folder = own_folder(settings.models_dir, spec.key)
    if folder is not None:
        return folder
    if spec.repo_id is None:
        raise ModelUnavailable(f"{spec.title} is not on this machine, and the hub does not offer it as "
                               f"safetensors. Put its folder at {settings.models_dir / spec.key} "
                               "(see the README).")
    return hub.fetch(spec, family_of(spec).layout, settings.offline, on_progress, place)


def find(spec: ModelSpec, settings: Settings, on_progress: OnProgress, place: hub.Hub = hub.HUB) -> Found:
    """Find and check a model.

    Raises:
        ModelUnavailable: missing, damaged, not allowed, or it needs a GPU; the text tells what to do.
        Cancelled: from `on_progress`.
    """
    device = device_of(settings)
    if spec.needs_cuda and device.type != "cuda":
        raise ModelUnavailable(f"{spec.title} needs a CUDA GPU, and the studio runs on the processor here. Choose "
                               "the demo model, or run the studio on a machine with an NVIDIA GPU.")
    folder, family = locate(spec, settings, on_progress, place), family_of(spec)
    layout, shape = family.layout, family.shape(folder)

    def alive() -> None:
        on_progress(Progress("loading"))

    alive()
    model_folder.check(folder, layout)
    variants = {part: model_folder.weight_variant(folder, part, layout, spec.variant) for part in layout.weighed}
    files = [path for part, variant in variants.items()
             for path in model_folder.weight_files(folder, part, layout, variant)]
    for path in files:
        _check_weights(path)
    # hash before loading: a file that changes during loading must not get the hash of its new content
    weights_sha256 = model_folder.sha256(folder, files + model_folder.configurations(folder, layout), alive)
    from_hub = own_folder(settings.models_dir, spec.key) is None
    source = Source(spec, folder, weights_sha256, (spec.repo_id or "") if from_hub else "folder",
                    (spec.revision or "") if from_hub else "", device, dtype_of(device))
    rest = torch.device("cpu") if _weighs_too_much(shape, device) else device
    return Found(source, shape, variants, rest, alive)


def _weighs_too_much(shape: Shape, device: torch.device) -> bool:
    """Whether the weights alone would fill the device. They then stay in main memory and are copied when needed."""
    free = free_bytes(device) if device.type == "cuda" else None
    return memory_mode(shape.memory(Size(1, 8, 8), False, device.type), free) != RESIDENT


def settle(model: torch.nn.Module, device: torch.device) -> torch.nn.Module:
    """Move a model to `device`. On a CPU, give every tensor separate memory.

    Otherwise a tensor on a CPU is a view of the mapped file, at an address that depends on the file's header.
    Some products of unaligned weights add up in another order. The last bit of a frame would then depend on how the
    file was written. Also, a mapped file that is truncated kills the process.
    """
    if device.type != "cpu":
        return model.to(device)
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = tensor.data.clone()
    return model


def _check_weights(path: Path) -> None:
    """Read the header. safetensors compares it with the file's length, so this finds a truncated file."""
    try:
        with safe_open(path, framework="pt"):
            pass
    except (SafetensorError, OSError) as error:
        raise model_folder.damaged(path, str(error)) from error


def _part(kind: Any, folder: Path, variant: str | None, dtype: torch.dtype) -> Any:
    model, info = _readable(folder, lambda: kind.from_pretrained(
        folder, variant=variant, dtype=dtype, use_safetensors=True, local_files_only=True,
        output_loading_info=True))
    missing = sorted(info.get("missing_keys", ()))
    if missing:
        # from_pretrained would fill them with random numbers and continue
        raise ModelUnavailable(f"{folder}: its weights lack {len(missing)} tensors that its configuration needs "
                               f"({missing[0]}, …). Fetch the model again.")
    return model.eval()


def _readable(folder: Path, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        if meaning(error, "loading") is not None:
            raise
        reason = str(error).strip().split("\n")[0][:200]
        raise ModelUnavailable(f"{folder} cannot be loaded: {reason.rstrip('.')}. "
                               "Its files do not fit together; fetch the model again.") from error
