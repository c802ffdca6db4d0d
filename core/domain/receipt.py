"""The record of a run. A receipt is written into the sidecar and the MP4; equal receipts promise equal frames."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Environment:
    """The part of a receipt that a machine and its packages decide, known before anything runs.

    Attributes:
        device: "cpu" or "cuda"; device_name: the name of the processor or the GPU.
        dtype: "float32" or "float16".
        attention_backend: which attention kernel the model calls.
        memory_mode: "resident", or an offload mode.
        num_threads: CPU threads of torch (they decide the order of sums); 0 on a GPU.
        versions: studio, python, torch, cuda, cudnn, diffusers, transformers; missing ones are "".
        cpu_capability: the instruction sets of torch's sums on a CPU, and the variables that cap them. It is "" on a
            GPU and in receipts older than this field.
    """

    device: str
    device_name: str
    dtype: str
    attention_backend: str
    memory_mode: str
    num_threads: int
    versions: dict[str, str] = field(default_factory=dict)
    cpu_capability: str = ""


@dataclass(frozen=True)
class LoadedModel:
    """The part of a receipt that a loaded model decides; the fields are those of `Receipt`."""

    model: str
    model_source: str
    model_revision: str
    weights_sha256: str


@dataclass(frozen=True)
class Receipt:
    """Everything that decides the frames, and the proof of these frames.

    Attributes:
        noise_sha256: of the initial float32 noise, C-order bytes of (F, C, h, w).
        frames_sha256: of the uint8 frames before encoding, C-order bytes of (F, H, W, 3).
        model: its key; model_source: "folder" or the hub's repository id; model_revision: the hub's commit.
        weights_sha256: over the files that decide the frames, sorted, name and content: the safetensors, the
            configurations of the parts, and the tokenizer.
        scheduler_config: the configuration of the scheduler as it ran.
        loras: one object per LoRA: name, sha256, weight.
        environment: the machine and its packages.
        method: the mode and its settings (`ModeSpec.document`); receipts older than modes mean the reference.
    """

    noise_sha256: str
    frames_sha256: str
    model: str
    model_source: str
    model_revision: str
    weights_sha256: str
    scheduler_config: dict[str, Any]
    environment: Environment
    loras: tuple[dict[str, Any], ...] = ()
    method: dict[str, Any] = field(default_factory=lambda: {"mode": "reference"})

    def document(self) -> dict[str, Any]:
        """The receipt as a JSON object."""
        return {**asdict(self), "loras": list(self.loras)}


NO_RECEIPT = Receipt("", "", "", "", "", "", {}, Environment("", "", "", "", "", 0))
"""The receipt of a video from outside: its run is unknown."""
