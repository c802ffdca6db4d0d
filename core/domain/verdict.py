"""The comparison of two runs: the verdict, and each difference of their receipts as a possible cause, in words."""

from dataclasses import dataclass
from typing import Any

from core.domain.receipt import Environment, LoadedModel, Receipt

IDENTICAL, EQUIVALENT, DRIFTED = "identical", "equivalent", "drifted"
EQUIVALENT_PSNR_DB = 40.0


@dataclass(frozen=True)
class Verdict:
    """The result of comparing a regeneration with its parent.

    Attributes:
        verdict: `IDENTICAL`, `EQUIVALENT` or `DRIFTED`.
        psnr_db: of the decoded files, None when identical.
        causes: the differences between the two receipts, one sentence each; possible also when identical.
    """

    verdict: str
    psnr_db: float | None = None
    causes: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """The verdict as a JSON object."""
        return {"verdict": self.verdict, "psnr_db": self.psnr_db, "causes": list(self.causes)}


_MACHINE_WORDS = {
    "device": "another kind of device",
    "device_name": "another processor or GPU",
    "dtype": "another precision",
    "attention_backend": "another attention kernel",
    "memory_mode": "another memory mode",
    "num_threads": "another number of CPU threads",
}
_MODEL_WORDS = {
    "model": "another model",
    "model_source": "the model came from elsewhere",
    "model_revision": "another revision of the model",
    "weights_sha256": "other weights or configuration under the same name",
}


def model_causes(before: "Receipt | LoadedModel", now: "Receipt | LoadedModel") -> tuple[str, ...]:
    """The differences between the models, one sentence each."""
    return tuple(f"{words} ({_short(getattr(before, name))} → {_short(getattr(now, name))})"
                 for name, words in _MODEL_WORDS.items() if getattr(before, name) != getattr(now, name))


def environment_causes(before: Environment, now: Environment) -> tuple[str, ...]:
    """The differences between the machines, one sentence each: `another … (old → new)`.

    A CPU capability that is missing in the older receipt is no difference: the field is newer than that receipt.
    """
    causes = [f"{words} ({getattr(before, name)} → {getattr(now, name)})"
              for name, words in _MACHINE_WORDS.items() if getattr(before, name) != getattr(now, name)]
    if before.cpu_capability and now.cpu_capability and before.cpu_capability != now.cpu_capability:
        causes.append(f"other CPU instructions ({before.cpu_capability} → {now.cpu_capability})")
    for package in sorted(before.versions):
        old, new = before.versions[package], now.versions.get(package, "")
        if old != new:
            causes.append(f"another version of {package} ({old or 'none'} → {new or 'none'})")
    return tuple(causes)


def causes(before: Receipt, after: Receipt) -> tuple[str, ...]:
    """Every difference between two runs that can change the frames, one sentence each."""
    found = [*model_causes(before, after)]
    if before.scheduler_config != after.scheduler_config:
        names = sorted(n for n in set(before.scheduler_config) | set(after.scheduler_config)
                       if before.scheduler_config.get(n) != after.scheduler_config.get(n))
        found.append(f"another scheduler configuration ({', '.join(names)})")
    found += method_causes(before.method, after.method)
    if before.loras != after.loras:
        found.append("other LoRAs")
    if before.noise_sha256 != after.noise_sha256:
        found.append("the initial noise is not the same")
    return tuple(found) + environment_causes(before.environment, after.environment)


def method_causes(before: dict[str, Any], now: dict[str, Any]) -> tuple[str, ...]:
    """The difference between two ways of making frames (`ModeSpec.document`), in one sentence or none."""
    if before == now:
        return ()
    old, new = before.get("mode"), now.get("mode")
    if old != new:
        return (f"another mode ({old} → {new})",)
    names = sorted(name for name in set(before) | set(now) if before.get(name) != now.get(name))
    return (f"other settings of the mode {new} ({', '.join(names)})",)


def verdict(before: Receipt, after: Receipt, psnr_db: float | None) -> Verdict:
    """Compare a regeneration with its parent.

    Args:
        psnr_db: between the decoded files, dB over all frames and channels; needed only if the frame hashes differ.
            None then means that it could not be measured; the verdict is drifted.
    """
    why = causes(before, after)
    if before.frames_sha256 == after.frames_sha256:
        return Verdict(IDENTICAL, None, why)
    kind = EQUIVALENT if psnr_db is not None and psnr_db >= EQUIVALENT_PSNR_DB else DRIFTED
    return Verdict(kind, psnr_db, why)


def _short(text: str) -> str:
    return text[:12] if len(text) > 40 else (text or "none")
