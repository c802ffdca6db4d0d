"""The device of the model, set up for repeatable results, and its part of a receipt."""

import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path

import diffusers
import torch
import transformers

import core
from core.domain.receipt import Environment
from core.errors import ModelUnavailable
from core.settings import Settings, cpu_caps

_INSTRUCTIONS = ("avx2", "fma3", "avx512_f", "avx512_bw", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile",
                 "neon", "sve", "sve2", "bf16")
"""Names of `torch.cpu.get_capabilities()` by which oneDNN and MKL choose how to multiply."""


def device_of(settings: Settings) -> torch.device:
    """The device that the settings ask for. Every option that lets two runs differ is switched off.

    Raises:
        ModelUnavailable: the settings ask for CUDA and there is none, or no GPU with that number.
    """
    asked = settings.device
    if asked == "auto":
        asked = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(asked)
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise ModelUnavailable(f"T2V_DEVICE asks for {asked}, but PyTorch {torch.__version__} finds no CUDA "
                                   "GPU here. Install the driver and a CUDA build of PyTorch, or set "
                                   "T2V_DEVICE=cpu.")
        device = torch.device("cuda", device.index or 0)
        if device.index >= torch.cuda.device_count():
            raise ModelUnavailable(f"T2V_DEVICE asks for {asked}, but this machine has "
                                   f"{torch.cuda.device_count()} GPU(s), counted from cuda:0.")
        if not has_kernels(torch.cuda.get_device_capability(device), torch.cuda.get_arch_list()):
            raise ModelUnavailable(f"PyTorch {torch.__version__} has no code for this machine's GPU "
                                   f"({torch.cuda.get_device_name(device)}). Install a build of PyTorch that has, "
                                   "or set T2V_DEVICE=cpu.")
        _repeatable_cuda()
        torch.cuda.set_device(device)  # for this thread: streams, events and graphs use the current device
    return device


def has_kernels(capability: tuple[int, int], built_for: Sequence[str]) -> bool:
    """Whether a GPU can run this build of torch. Without this check the first product fails with a poor message.

    Args:
        capability: of the GPU, as (8, 6).
        built_for: `torch.cuda.get_arch_list()`; other names than these are ignored: `sm_80` runs on later GPUs of
            its major version; `compute_80` on all later GPUs; `sm_90a` only on that GPU.
    """
    names = [re.fullmatch(r"(sm|compute)_(\d+)(\d)([af]?)", name) for name in built_for]
    found = [(name[1], (int(name[2]), int(name[3])), name[4]) for name in names if name]
    return not found or any(
        made_for == capability or (not only and made_for <= capability
                                   and (kind == "compute" or made_for[0] == capability[0]))
        for kind, made_for, only in found)


def _repeatable_cuda() -> None:
    # cuBLAS reads this when it starts, after this line and before the first product. Without it, torch refuses
    # deterministic algorithms, or warns about them.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cuda.enable_cudnn_sdp(False)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a debugging aid that costs a pass over memory


def dtype_of(device: torch.device) -> torch.dtype:
    """Half precision on a GPU; single on a CPU, where half is emulated and slower."""
    return torch.float16 if device.type == "cuda" else torch.float32


def environment(device: torch.device) -> Environment:
    """The part of a receipt that this machine and its packages decide."""
    on_gpu = device.type == "cuda"
    return Environment(
        device=device.type,
        device_name=torch.cuda.get_device_name(device) if on_gpu else processor_name(),
        dtype=str(dtype_of(device)).removeprefix("torch."),
        attention_backend="sdpa",
        memory_mode="resident",
        num_threads=0 if on_gpu else torch.get_num_threads(),
        versions={
            "studio": core.__version__, "python": platform.python_version(), "torch": torch.__version__,
            "cuda": torch.version.cuda or "", "cudnn": str(torch.backends.cudnn.version() or ""),
            "diffusers": diffusers.__version__, "transformers": transformers.__version__,
        },
        cpu_capability="" if on_gpu else cpu_capability(),
    )


def cpu_capability() -> str:
    """How this processor multiplies: the level of torch, the processor's instructions, and variables that cap it.

    torch does not tell which of the processor's instructions oneDNN uses. So the text contains both sides of the
    choice: `AVX512 (avx2 fma3 …)`, `AVX2 (avx2 fma3 …, ONEDNN_MAX_CPU_ISA=AVX2)`.
    """
    has = torch.cpu.get_capabilities()
    able = " ".join(name for name in _INSTRUCTIONS if has.get(name))
    inside = ", ".join(filter(None, (able, *cpu_caps())))
    level = torch.backends.cpu.get_cpu_capability()
    return f"{level} ({inside})" if inside else level


def processor_name() -> str:
    """The name of the processor if the system tells it, else its architecture."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()


def peak_memory_bytes(device: torch.device) -> int:
    """The peak of used memory: of the GPU since `reset_peak_memory`, or of this process; 0 if unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if platform.system() == "Darwin" else peak * 1024


def reset_peak_memory(device: torch.device) -> None:
    """Start a new count of the GPU's peak memory."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def quiet() -> None:
    """Hide the progress bars and advice of the libraries from the worker's stderr. Errors still appear."""
    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.set_verbosity_error()
        library.disable_progress_bar()
