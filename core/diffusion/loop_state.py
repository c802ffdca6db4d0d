"""The state of the denoising loop between two steps: all that a job needs to go on elsewhere as if nothing was.

As bytes it is the checkpoint of a job: SHA-256 over the rest, then one safetensors file. Its tensors are the
latents and those of the scheduler; its header holds, as JSON, the scheduler's other values and what the state
belongs to. Nothing in it is executed when it is read. Whatever a scheduler holds but its configuration is kept:
one that remembers more needs no change here (tests/test_loop_state.py interrupts each after every step).
"""

import hashlib
import json
import struct
from dataclasses import asdict, dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from core.domain.receipt import Environment
from core.domain.recipe import Recipe
from core.domain.verdict import environment_causes

FORMAT = 1
_DIGEST_BYTES = hashlib.sha256().digest_size


@dataclass(frozen=True)
class LoopState:
    """Where the loop stands. Its tensors are the loop's own: pack it before the next step changes them.

    Attributes:
        step: how many steps are made.
        latents: (F, C, h, w), of the device and dtype of the model.
        scheduler: everything the scheduler holds but its configuration, by name.
        elapsed_s: seconds the steps so far have taken.
    """

    step: int
    latents: torch.Tensor
    scheduler: dict[str, Any]
    elapsed_s: float = 0.0


@dataclass(frozen=True)
class StateOrigin:
    """What decides the frames: a state may only be gone on with where all of it is the same."""

    recipe: Recipe
    weights_sha256: str
    scheduler_config: dict[str, Any]
    environment: Environment
    method: dict[str, Any]

    def document(self) -> dict[str, Any]:
        """The origin as a JSON object. The studio's own version is left out: `FORMAT` says how it makes a step."""
        document = asdict(self)
        document["request"] = document.pop("recipe")
        document["environment"]["versions"].pop("studio", None)
        return document


def pack(state: LoopState, origin: StateOrigin) -> bytes:
    """The state as bytes.

    Raises:
        TypeError: the scheduler holds something that is neither a tensor nor a plain value.
    """
    tensors: dict[str, torch.Tensor] = {}
    header = {"format": FORMAT, "step": state.step, "elapsed_s": state.elapsed_s, "origin": origin.document(),
              "latents": _plain(state.latents, tensors), "scheduler": _plain(state.scheduler, tensors)}
    data = save(tensors, {"state": json.dumps(header)})
    return hashlib.sha256(data).digest() + data


def unpack(data: bytes, origin: StateOrigin, device: torch.device) -> tuple[LoopState | None, str]:
    """The state that `pack` wrote, or None and a sentence that says why it cannot be used here."""
    digest, data = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    if hashlib.sha256(data).digest() != digest:
        return None, _afresh("was damaged")
    try:
        header, tensors = _header(data), load(data)
    except (SafetensorError, ValueError, KeyError, struct.error):
        return None, _afresh("cannot be read")
    if header.get("format") != FORMAT:
        return None, _afresh("was written by another version of the studio")
    difference = _difference(header["origin"], origin)
    if difference:
        return None, _afresh(f"was made with {difference}")
    return LoopState(header["step"], _value(header["latents"], tensors, device),
                     _value(header["scheduler"], tensors, device), header["elapsed_s"]), ""


def _afresh(why: str) -> str:
    return f"The job began again with its first step: its checkpoint {why}."


def _header(data: bytes) -> dict[str, Any]:
    """Our own part of a safetensors header: its length in 8 bytes, then JSON."""
    (length,) = struct.unpack_from("<Q", data)
    header: dict[str, Any] = json.loads(json.loads(data[8:8 + length])["__metadata__"]["state"])
    return header


def _difference(before: dict[str, Any], now: StateOrigin) -> str:
    """In what the origin of a state differs from the present one, in words; "" when in nothing."""
    after = json.loads(json.dumps(now.document()))
    before.get("environment", {}).get("versions", {}).pop("studio", None)  # written by 0.1.0
    if before == after:
        return ""
    if before["environment"] != after["environment"]:
        try:
            return "; ".join(environment_causes(Environment(**before["environment"]), now.environment)) or \
                "another environment"
        except TypeError:
            return "another environment"
    names = {"request": "another request", "weights_sha256": "other weights",
             "scheduler_config": "another scheduler configuration", "method": "another way of making a step"}
    return "; ".join(words for name, words in names.items() if before.get(name) != after[name]) or "other settings"


def _plain(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """A value as JSON; a tensor goes into `tensors`, its place in memory and its layout beside its name.

    The layout matters: the same numbers in another order of memory may add up to another last bit.
    """
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().to("cpu", copy=True).contiguous()
        return {"tensor": name, "stride": value.stride(), "on_cpu": value.device.type == "cpu"}
    if isinstance(value, dict):
        return {"dict": {key: _plain(item, tensors) for key, item in value.items()}}
    if isinstance(value, list):
        return [_plain(item, tensors) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a scheduler that holds a {type(value).__name__} cannot be kept")


def _value(plain: Any, tensors: dict[str, torch.Tensor], device: torch.device) -> Any:
    """What `_plain` made plain."""
    if isinstance(plain, list):
        return [_value(item, tensors, device) for item in plain]
    if not isinstance(plain, dict):
        return plain
    if "dict" in plain:
        return {key: _value(item, tensors, device) for key, item in plain["dict"].items()}
    kept = tensors[plain["tensor"]]
    place = torch.device("cpu") if plain["on_cpu"] else device
    return torch.empty_strided(kept.shape, plain["stride"], dtype=kept.dtype, device=place).copy_(kept)
