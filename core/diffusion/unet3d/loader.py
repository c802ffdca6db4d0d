"""A model folder becomes a pipeline: found or fetched, checked, and loaded class by class.

Not through `DiffusionPipeline.from_pretrained`, which imports what a file tells it to and falls back to pickles.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet3DConditionModel
from safetensors import SafetensorError, safe_open
from transformers import CLIPTextModel, CLIPTokenizer

from core.diffusion import hub, preview
from core.diffusion.device import device_of, dtype_of
from core.diffusion.failures import meaning
from core.diffusion.placement import free_bytes
from core.domain.models import ModelSpec
from core.domain.progress import OnProgress, Progress
from core.domain.receipt import LoadedModel
from core.errors import ModelUnavailable
from core.families import model_folder as checkpoint
from core.families.catalog import model_folder
from core.families.unet3d.cost import RESIDENT, memory, memory_mode
from core.families.unet3d.shape import architecture
from core.settings import Settings


@dataclass(frozen=True)
class Pipeline:
    """A loaded model: its parts in `dtype`, the device it works on, and where they came from.

    Attributes:
        scheduler_config: what the checkpoint was trained with; `sampler.scheduler` builds on it.
        weights_sha256: of every safetensors file loaded, the configurations and the tokenizer, as they were before
            any was loaded (see `checkpoint.sha256`).
        source, revision: "folder" and "", or the hub's repository id and commit.
    """

    tokenizer: CLIPTokenizer
    text_encoder: CLIPTextModel
    unet: UNet3DConditionModel
    vae: AutoencoderKL
    scheduler_config: dict[str, Any]
    folder: Path
    spec: ModelSpec
    device: torch.device
    dtype: torch.dtype
    weights_sha256: str
    source: str
    revision: str
    preview_factors: preview.Factors

    @property
    def loaded_model(self) -> LoadedModel:
        """What a receipt says of it."""
        return LoadedModel(self.spec.key, self.source, self.revision, self.weights_sha256)

    @property
    def tokens(self) -> int:
        """How many tokens of a prompt the model reads, the two that frame it included."""
        return min(self.tokenizer.model_max_length, self.text_encoder.config.max_position_embeddings)

    @property
    def pixels_per_latent(self) -> int:
        """Pixels along a side that one latent becomes."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)


def locate(spec: ModelSpec, settings: Settings, on_progress: OnProgress, place: hub.Hub = hub.HUB) -> Path:
    """The folder of a model: one of that name in the models directory, else the hub's, fetched if need be.

    Raises:
        ModelUnavailable: there is none and it cannot be fetched; with what to do.
        Cancelled: from `on_progress`; what was fetched so far is kept and used next time.
    """
    folder = model_folder(settings.models_dir, spec.key)
    if folder is not None:
        return folder
    if spec.repo_id is None:
        raise ModelUnavailable(f"{spec.title} is not on this machine, and the hub does not offer it as "
                               f"safetensors. Put its folder at {settings.models_dir / spec.key} "
                               "(the README says how).")
    return hub.fetch(spec, settings.offline, on_progress, place)


def load(spec: ModelSpec, settings: Settings, on_progress: OnProgress, place: hub.Hub = hub.HUB) -> Pipeline:
    """Find, check and load a model.

    Raises:
        ModelUnavailable: missing, damaged, not allowed, or it needs a GPU; with what to do.
        Cancelled: from `on_progress`.
    """
    device = device_of(settings)
    if spec.needs_cuda and device.type != "cuda":
        raise ModelUnavailable(f"{spec.title} needs a CUDA GPU, and the studio runs on the processor here. Choose "
                               "the demo model, or run the studio on a machine with an NVIDIA GPU.")
    folder = locate(spec, settings, on_progress, place)
    on_progress(Progress("loading"))
    checkpoint.check(folder)
    variants = {part: checkpoint.weight_variant(folder, part, spec.variant) for part in checkpoint.STEMS}
    files = [path for part, variant in variants.items()
             for path in checkpoint.weight_files(folder, part, variant)]
    for path in files:
        _check_weights(path)
    # before loading: what is loaded after a file was changed must not pass for what was there
    weights_sha256 = checkpoint.sha256(folder, files + checkpoint.configurations(folder),
                                       lambda: on_progress(Progress("loading")))
    dtype = dtype_of(device)
    rest = torch.device("cpu") if _weighs_too_much(folder, device) else device
    parts = {}
    for part, kind in (("text_encoder", CLIPTextModel), ("unet", UNet3DConditionModel), ("vae", AutoencoderKL)):
        parts[part] = settle(_part(kind, folder / part, variants[part], dtype), rest)
        on_progress(Progress("loading"))
    hub_folder = model_folder(settings.models_dir, spec.key) is None
    return Pipeline(
        tokenizer=_tokenizer(folder / "tokenizer"), **parts,
        scheduler_config=checkpoint.read_json(folder / "scheduler" / "scheduler_config.json"),
        folder=folder, spec=spec, device=device, dtype=dtype,
        weights_sha256=weights_sha256,
        source=spec.repo_id if hub_folder else "folder", revision=spec.revision or "" if hub_folder else "",
        preview_factors=preview.factors_for(
            folder, parts["unet"].config.in_channels, parts["vae"].config.scaling_factor),
    )


def _weighs_too_much(folder: Path, device: torch.device) -> bool:
    """Whether the weights alone would fill the device; they rest in main memory then, and visit it."""
    free = free_bytes(device) if device.type == "cuda" else None
    shape = memory(architecture(folder), 1, 8, 8, 1.0, device.type)
    return memory_mode(shape, free) != RESIDENT


def settle(model: torch.nn.Module, device: torch.device) -> torch.nn.Module:
    """Move a model to `device`, every tensor to memory of its own.

    On a CPU they are otherwise views of the mapped file, at whatever address its header leaves them. Some products
    of unaligned weights add up in another order, so the last bit of a frame would depend on how the file was
    written; and a file that is cut short while it is mapped kills the process.
    """
    if device.type != "cpu":
        return model.to(device)
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = tensor.data.clone()
    return model


def _check_weights(path: Path) -> None:
    """Read the header; safetensors compares it with the file's length, so a truncated file is found here."""
    try:
        with safe_open(path, framework="pt"):
            pass
    except (SafetensorError, OSError) as error:
        raise checkpoint.damaged(path, str(error)) from error


def _part(kind: Any, folder: Path, variant: str | None, dtype: torch.dtype) -> Any:
    model, info = _readable(folder, lambda: kind.from_pretrained(
        folder, variant=variant, dtype=dtype, use_safetensors=True, local_files_only=True,
        output_loading_info=True))
    missing = sorted(info.get("missing_keys", ()))
    if missing:
        # from_pretrained would fill them with random numbers and go on
        raise ModelUnavailable(f"{folder}: its weights lack {len(missing)} tensors that its configuration needs "
                               f"({missing[0]}, …). Fetch the model again.")
    return model.eval()


def _tokenizer(folder: Path) -> CLIPTokenizer:
    return _readable(folder, lambda: CLIPTokenizer.from_pretrained(folder, local_files_only=True))


def _readable(folder: Path, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        if meaning(error, "loading") is not None:
            raise
        reason = str(error).strip().split("\n")[0][:200]
        raise ModelUnavailable(f"{folder} cannot be loaded: {reason.rstrip('.')}. "
                               "Its files do not fit together; fetch the model again.") from error
