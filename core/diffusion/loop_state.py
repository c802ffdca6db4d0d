"""The state of the denoising loop between two steps: everything that a job needs to resume in another process.

As bytes it is the checkpoint of a job: SHA-256 over the rest, then one safetensors file. Its tensors are the
latents and the tensors of the scheduler. Its header is JSON: the other values of the scheduler, and the origin of
the state. Reading executes nothing in it. The state contains everything a scheduler holds except its configuration.
So a scheduler that remembers more needs no change here. The tests interrupt each scheduler after every step
(tests/test_loop_state.py).
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
    """The position of the loop. It shares its tensors with the loop: pack it before the next step changes them.

    Attributes:
        step: the number of finished steps.
        latents: (F, C, h, w), of the device and dtype of the model.
        scheduler: everything the scheduler holds except its configuration, by name.
        elapsed_s: seconds the steps so far have taken.
    """

    step: int
    latents: torch.Tensor
    scheduler: dict[str, Any]
    elapsed_s: float = 0.0


@dataclass(frozen=True)
class StateOrigin:
    """What decides the frames. A job resumes from a state only if all of these are the same."""

    recipe: Recipe
    weights_sha256: str
    scheduler_config: dict[str, Any]
    environment: Environment
    method: dict[str, Any]

    def document(self) -> dict[str, Any]:
        """The origin as a JSON object. The version of the studio is left out: `FORMAT` covers it."""
        document = asdict(self)
        document["request"] = document.pop("recipe")
        document["environment"]["versions"].pop("studio", None)
        return document


def pack(state: LoopState, origin: StateOrigin) -> bytes:
    """The state as bytes.

    Raises:
        TypeError: the scheduler holds an object other than tensors and plain values.
    """
    tensors: dict[str, torch.Tensor] = {}
    header = {"format": FORMAT, "step": state.step, "elapsed_s": state.elapsed_s, "origin": origin.document(),
              "latents": _plain(state.latents, tensors), "scheduler": _plain(state.scheduler, tensors)}
    data = save(tensors, {"state": json.dumps(header)})
    return hashlib.sha256(data).digest() + data


def unpack(data: bytes, origin: StateOrigin, device: torch.device) -> tuple[LoopState | None, str]:
    """The state that `pack` wrote, or None and a sentence that tells why it cannot be used here."""
    digest, data = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    if hashlib.sha256(data).digest() != digest:
        return None, _restarted("was damaged")
    try:
        header, tensors = _header(data), load(data)
    except (SafetensorError, ValueError, KeyError, struct.error):
        return None, _restarted("cannot be read")
    if header.get("format") != FORMAT:
        return None, _restarted("was written by another version of the studio")
    difference = _difference(header["origin"], origin)
    if difference:
        return None, _restarted(f"was made with {difference}")
    return LoopState(header["step"], _value(header["latents"], tensors, device),
                     _value(header["scheduler"], tensors, device), header["elapsed_s"]), ""


def _restarted(why: str) -> str:
    return f"The job began again with its first step: its checkpoint {why}."


def _header(data: bytes) -> dict[str, Any]:
    """Our part of a safetensors header: the length in 8 bytes, then JSON."""
    (length,) = struct.unpack_from("<Q", data)
    header: dict[str, Any] = json.loads(json.loads(data[8:8 + length])["__metadata__"]["state"])
    return header


def _difference(before: dict[str, Any], now: StateOrigin) -> str:
    """The differences between the origin of a state and the present one, in words; "" if there are none."""
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
    """A value as JSON. A tensor goes into `tensors`; its JSON is its name, its layout and whether it is on the CPU.

    The layout matters: the same numbers in another order of memory may give another last bit.
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
    raise TypeError(f"a scheduler that holds a {type(value).__name__} cannot be saved")


def _value(plain: Any, tensors: dict[str, torch.Tensor], device: torch.device) -> Any:
    """The value that `_plain` turned into JSON."""
    if isinstance(plain, list):
        return [_value(item, tensors, device) for item in plain]
    if not isinstance(plain, dict):
        return plain
    if "dict" in plain:
        return {key: _value(item, tensors, device) for key, item in plain["dict"].items()}
    stored = tensors[plain["tensor"]]
    place = torch.device("cpu") if plain["on_cpu"] else device
    return torch.empty_strided(stored.shape, plain["stride"], dtype=stored.dtype, device=place).copy_(stored)
