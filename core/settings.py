"""The environment, read once. No other module of the project reads `os.environ`.

Every setting is a row of `SETTINGS`. This table drives the parsing and the environment of a child process. The
README's table repeats it: tests/test_docs.py fails for a setting that is not documented. An empty variable counts
as not set.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import BadRequest

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Setting:
    """One environment variable: its name, its default, its parser and its purpose."""

    name: str
    default: str
    parse: Callable[[str], Any]
    help: str


def _device(text: str) -> str:
    if text in ("auto", "cpu", "cuda") or (text.startswith("cuda:") and text[5:].isdecimal() and text.isascii()):
        return text
    raise ValueError("must be auto, cpu, cuda or cuda:N")


def _memory(text: str) -> str:
    if text in ("auto", "resident", "model offload", "sequential offload"):
        return text
    raise ValueError("must be auto, resident, model offload or sequential offload")


def _switch(text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError("must be 1 or 0")


def _count(most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.strip().removeprefix("-").isdecimal():
            raise ValueError("is not a whole number")
        value = int(text)
        if value < 0:
            raise ValueError("must be 0 or more")
        if value > most:
            raise ValueError(f"must be {most:,} or less")
        return value

    return parse


SETTINGS: tuple[Setting, ...] = (
    Setting("T2V_DATA_DIR", str(REPOSITORY / "data"), Path, "Folder of the videos, the index and the queue."),
    Setting("T2V_MODELS_DIR", str(REPOSITORY / "data" / "models"), Path, "Folder that holds the model folders."),
    Setting("T2V_MODEL", "", str, "Default model; empty: ModelScope 1.7B on a GPU, else the demo."),
    Setting("T2V_DEVICE", "auto", _device, "auto, cpu, cuda or cuda:N."),
    Setting("T2V_MEMORY", "auto", _memory,
            "auto, resident, model offload or sequential offload: where the idle weights are."),
    Setting("T2V_OFFLINE", "0", _switch, "1: never ask the model hub; use only the models on the disk."),
    Setting("T2V_PRELOAD", "1", _switch, "1: load the default model at start when it is on disk."),
    Setting("T2V_DISPATCH", "1", _switch, "0: this process only reads and submits; another one runs the jobs."),
    Setting("T2V_MAX_QUEUED", "200", _count(1_000_000), "Jobs that may wait; one more is refused."),
    Setting("T2V_MIN_FREE_MB", "500", _count(10**9), "Free disk (MB) below which new jobs are refused."),
    Setting("T2V_TRASH_DAYS", "30", _count(36_500), "Days a deleted video stays in the trash; 0: keep no trash."),
    Setting("T2V_WORKER_TIMEOUT_S", "60", _count(86_400),
            "Seconds without an answer after which a worker is replaced."),
)


def fault_point(environ: Mapping[str, str] = os.environ) -> str:
    """The name of the point at which this process must kill itself (`T2V_FAULT`), for crash tests; else empty."""
    return environ.get("T2V_FAULT", "")


def hub_cache(environ: Mapping[str, str] = os.environ) -> Path:
    """The download folder of the model hub's own library, by the rules of that library."""
    home = environ.get("HF_HOME", f"{environ.get('XDG_CACHE_HOME', '~/.cache')}/huggingface")
    older = environ.get("HUGGINGFACE_HUB_CACHE", f"{home}/hub")
    return Path(os.path.expandvars(environ.get("HF_HUB_CACHE", older))).expanduser()


CPU_CAPS = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS",
            "MKL_CBWR")
"""Variables of torch's own libraries that choose the CPU's instructions. They change the last bits of sums."""


def cpu_caps(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The variables of `CPU_CAPS` that are set, as NAME=value."""
    return tuple(f"{name}={environ[name]}" for name in CPU_CAPS if environ.get(name))


@dataclass(frozen=True)
class Settings:
    """The settings of one studio. Paths are absolute; `model` is empty when the person chose none."""

    data_dir: Path
    models_dir: Path
    model: str
    device: str
    memory: str
    offline: bool
    preload: bool
    dispatch: bool
    max_queued: int
    min_free_mb: int
    trash_days: int
    worker_timeout_s: int

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **overrides: Any) -> "Settings":
        """Read every `T2V_*` variable. `overrides` (by field name) win; a value of None is ignored.

        Raises:
            BadRequest: a variable has a forbidden value; the sentence names the variable.
        """
        environ = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        for setting in SETTINGS:
            text = environ.get(setting.name) or setting.default
            try:
                value = setting.parse(text)
            except ValueError as error:
                raise BadRequest(setting.name, f"{text!r} {error}") from error
            values[setting.name.removeprefix("T2V_").lower()] = value
        values.update({name: value for name, value in overrides.items() if value is not None})
        for name in ("data_dir", "models_dir"):
            values[name] = Path(values[name]).expanduser().resolve()
        return cls(**values)

    def process_environ(self, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
        """The complete environment of a child process with the same settings."""
        return {**environ, **self.environ()}

    def environ(self) -> dict[str, str]:
        """The same settings as environment variables."""
        def text(value: Any) -> str:
            return str(int(value)) if isinstance(value, bool) else str(value)

        return {s.name: text(getattr(self, s.name.removeprefix("T2V_").lower())) for s in SETTINGS}
