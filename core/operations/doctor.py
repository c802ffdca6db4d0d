"""The checks of this machine: each finding, and how to mend it."""

import json
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import ClipError
from core.families.catalog import catalog, folder_on_disk
from core.library.media.encoder import ffmpeg_version
from core.settings import REPOSITORY, Settings, hub_cache

PROBE_TIMEOUT_S = 120
FEWEST_RUNS = 3


@dataclass(frozen=True)
class Check:
    """One thing looked at: the finding, and, when it is not ok, the way to mend it."""

    name: str
    ok: bool
    found: str
    mend: str = ""


def examine(settings: Settings) -> list[Check]:
    """Every check, in the order a person would mend them. Takes some seconds: it starts torch once."""
    probe = _probe(settings)
    return [_python(), *_torch(probe), _ffmpeg(), _disk(settings), *_models(settings, probe),
            _writable("Data folder", settings.data_dir)]


def estimates(errors: dict[str, tuple[float, ...]]) -> list[Check]:
    """How good the estimates of time have been, for each model with enough videos.

    Args:
        errors: by model, the answer of `core.operations.planner.Planner.errors`.
    """
    return [Check(f"Estimates of {model}", True,
                  f"median error {statistics.median(map(abs, found)):.0%} over the last {len(found)} videos")
            for model, found in errors.items() if len(found) >= FEWEST_RUNS]


def _python() -> Check:
    found = platform.python_version()
    return Check("Python", (3, 11) <= sys.version_info[:2] <= (3, 13), found,
                 "Install Python 3.11, 3.12 or 3.13 and start again with it.")


def _probe(settings: Settings) -> dict[str, Any]:
    """Ask a fresh process what torch finds here; only such processes import torch."""
    try:
        done = subprocess.run([sys.executable, "-m", "core.diffusion.probe"], cwd=REPOSITORY, text=True,
                              env=settings.process_environ(), stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=PROBE_TIMEOUT_S, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else {"error": done.stderr.strip()[-500:]}
    except (subprocess.TimeoutExpired, ValueError) as error:
        return {"error": str(error)}


def _torch(probe: dict[str, Any]) -> list[Check]:
    mend = "Install the pinned packages: pip install -r requirements.txt"
    if "error" in probe:
        return [Check("torch", False, probe["error"], mend)]
    versions = probe["versions"]
    found = ", ".join(f"{name} {versions[name]}" for name in ("torch", "diffusers", "transformers"))
    if probe["device"] == "cuda":
        free, total = probe["free_bytes"] / 1e9, probe["total_bytes"] / 1e9
        gpu = f"{probe['device_name']}, {free:.1f} of {total:.1f} GB free"
        return [Check("torch", True, found), Check("CUDA", True, gpu)]
    wanted = shutil.which("nvidia-smi") is not None
    return [Check("torch", True, found),
            Check("CUDA", not wanted, "no GPU: the demo model runs on the CPU" if not wanted else
                  "a GPU is here, but torch cannot use it",
                  "Update the NVIDIA driver, or install a CUDA build of torch (see pytorch.org).")]


def _ffmpeg() -> Check:
    mend = "Reinstall the package that ships it: pip install --force-reinstall imageio-ffmpeg"
    try:
        return Check("FFmpeg", True, ffmpeg_version(), mend)
    except ClipError as error:
        return Check("FFmpeg", False, str(error), mend)


def _disk(settings: Settings) -> Check:
    folder = settings.data_dir
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free // 10**6
    return Check("Disk", free >= settings.min_free_mb, f"{free:,} MB free at {settings.data_dir}",
                 f"Free {settings.min_free_mb:,} MB, or choose another folder with T2V_DATA_DIR.")


def _models(settings: Settings, probe: dict[str, Any]) -> list[Check]:
    checks = []
    for key, spec in catalog(settings.models_dir).items():
        folder = folder_on_disk(settings.models_dir, hub_cache(), spec)
        if folder is not None:
            problem = probe.get("models", {}).get(key, "")
            checks.append(Check(f"Model {key}", not problem, problem or f"on disk at {folder}",
                                "Put a complete model folder there, or remove the folder."))
        elif spec.repo_id is not None:
            checks.append(Check(f"Model {key}", True, "not on disk yet; downloaded at its first use "
                                f"({spec.download_bytes / 1e9:.1f} GB)"))
        elif key == "demo":
            checks.append(Check("Model demo", False, f"missing at {settings.models_dir / 'demo'}",
                                "It ships with the studio: restore data/models/demo from the repository."))
    return checks


def _writable(name: str, folder: Path) -> Check:
    mend = f"Give this user the right to write there: chmod u+rwX {folder}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return Check(name, True, f"{folder} can be written", mend)
    except OSError as error:
        return Check(name, False, f"{folder}: {error.strerror}", mend)
