"""The rules for a model folder, checked before anything in it is loaded.

`from_pretrained` imports any class that `model_index.json` names and falls back to pickles. So the allow-list comes
first: known classes, safetensors only, no Python files, no links that leave the folder.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import ModelUnavailable


@dataclass(frozen=True)
class Component:
    """One part of a model: the library and the classes that may be loaded, and its files.

    Attributes:
        config: the file with its configuration.
        stem: the beginning of its safetensors file names; "" if it has no weights.
        folder_decides: whether every JSON and text file of its folder decides the frames, as with a tokenizer.
    """

    library: str
    classes: frozenset[str]
    config: str
    stem: str = ""
    folder_decides: bool = False


@dataclass(frozen=True)
class Layout:
    """The contents of a model folder of a family: the pipeline its index names, and its parts by name.

    Attributes:
        known_as: the names of models of the family that a person may know.
    """

    pipeline: str
    known_as: str
    components: dict[str, Component]

    @property
    def weighed(self) -> tuple[str, ...]:
        """The parts that have weights, in their order."""
        return tuple(name for name, part in self.components.items() if part.stem)


_CODE = (".py", ".pyc", ".so", ".dll", ".dylib", ".pyd")
_BLOCK = 1 << 20


def check(folder: Path, layout: Layout) -> None:
    """Refuse a folder that is not a complete, plain model of that layout.

    Raises:
        ModelUnavailable: the text names the fault of the folder, and what to do.
    """
    check_index(read_json(folder / "model_index.json"), folder.name, layout)
    _check_files(folder)
    for name, component in layout.components.items():
        _check_config(name, component, read_json(folder / name / component.config), folder)
    for name in layout.weighed:
        weight_variant(folder, name, layout, None)


def check_index(index: dict[str, Any], title: str, layout: Layout) -> None:
    """Refuse a `model_index.json` that names other classes than those of the layout."""
    if index.get("_class_name") != layout.pipeline:
        raise ModelUnavailable(f"{title} is a {index.get('_class_name')!r} checkpoint; this studio runs "
                               f"{layout.pipeline} ones ({layout.known_as}).")
    for name, value in index.items():
        if name.startswith("_"):
            continue
        allowed = layout.components.get(name)
        if allowed is None or not isinstance(value, list) or len(value) != 2 \
                or value[0] != allowed.library or value[1] not in allowed.classes:
            raise ModelUnavailable(f"{title} wants to load {value!r} as its {name}, which is not allowed. "
                                   "Use a checkpoint made of the standard parts only.")
    missing = [name for name in layout.components if name not in index]
    if missing:
        raise ModelUnavailable(f"{title} is not a complete model: its model_index.json has no "
                               f"{', '.join(missing)}.")


def _check_files(folder: Path) -> None:
    inside = folder.resolve()
    if folder.parent.name == "snapshots" and folder.parent.parent.name.startswith("models--"):
        inside = inside.parents[2]  # in the hub's cache, snapshots are links into the folder of blobs
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix.lower() in _CODE:
            raise ModelUnavailable(f"{folder.name} holds program code ({name}), which a model needs none of. "
                                   "Remove it if you trust the rest.")
        if path.is_symlink() and not path.resolve().is_relative_to(inside):
            raise ModelUnavailable(f"{folder.name}: {name} is a link that leaves the folder. "
                                   "Replace it by the file itself.")


def _check_config(name: str, component: Component, config: dict[str, Any], folder: Path) -> None:
    for key in ("auto_map", "quantization_config", "custom_pipelines"):
        if config.get(key):
            raise ModelUnavailable(f"{folder.name}: the {name}'s configuration has {key!r}, which is not "
                                   "allowed. Use a plain checkpoint.")
    named = config.get("_class_name") or config.get("tokenizer_class")
    if named is not None and named not in component.classes:
        raise ModelUnavailable(f"{folder.name}: its {name} is a {named!r}, not a "
                               f"{' or '.join(sorted(component.classes))}.")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a model folder.

    Raises:
        ModelUnavailable: missing, unreadable, or not an object.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelUnavailable(f"{path.parent} is not a complete model: {path.name} is missing. "
                               "Put the file back, or remove the folder and load the model again.") from error
    except (OSError, ValueError) as error:
        raise damaged(path, str(error)) from error
    if not isinstance(document, dict):
        raise damaged(path, "it is not a JSON object")
    return document


def damaged(path: Path, reason: str) -> ModelUnavailable:
    """The error for a file that exists but cannot be read."""
    return ModelUnavailable(f"{path} is damaged ({reason.rstrip('.')}). Remove it and fetch the model again.")


def weight_variant(folder: Path, component: str, layout: Layout, preferred: str | None) -> str | None:
    """The variant ("fp16", or None for plain) of `component` to load: the preferred one, if it exists.

    Raises:
        ModelUnavailable: there are no safetensors of that component.
    """
    present = {path.name for path in (folder / component).glob("*.safetensors*")}
    variants = variants_of(layout.components[component].stem, present)
    if not variants:
        hint = " (only a .bin, which can hide a program; convert it to safetensors once)" \
            if any((folder / component).glob("*.bin")) else ""
        raise ModelUnavailable(f"{folder}: the {component} has no safetensors file{hint}. "
                               "Put it there, or fetch the model again.")
    for variant in (preferred, None, *sorted(v for v in variants if v)):
        if variant in variants:
            return variant
    raise AssertionError("unreachable: one of the variants is in itself")


def variants_of(stem: str, names: set[str]) -> dict[str | None, set[str]]:
    """The variants among the file `names` of a component: variant → its files (weights and shard index)."""
    pattern = re.compile(rf"{stem}(?:\.safetensors\.index)?(?:\.(?P<variant>[a-z0-9_]+))??"
                         r"(?:-\d{5}-of-\d{5})?\.(?:safetensors|json)")
    found: dict[str | None, set[str]] = {}
    for name in names:
        match = pattern.fullmatch(name)
        if match:
            found.setdefault(match["variant"], set()).add(name)
    return {variant: files for variant, files in found.items() if any(f.endswith(".safetensors") for f in files)}


def weight_files(folder: Path, component: str, layout: Layout, variant: str | None) -> list[Path]:
    """The safetensors files of a component in that variant, sorted by name."""
    names = variants_of(layout.components[component].stem,
                        {path.name for path in (folder / component).glob("*.safetensors*")})
    return sorted(folder / component / name for name in names[variant] if name.endswith(".safetensors"))


def configurations(folder: Path, layout: Layout) -> list[Path]:
    """The other files that decide the frames, apart from the weights: each part's configuration, and the tokenizer."""
    found = []
    for name, component in layout.components.items():
        if component.folder_decides:
            found += [path for path in (folder / name).iterdir() if path.suffix in (".json", ".txt")]
        else:
            found.append(folder / name / component.config)
    return found


def sha256(folder: Path, files: list[Path], alive: Callable[[], None]) -> str:
    """SHA-256 over a model: each file's name within `folder` and its content, byte by byte, sorted by name.

    Args:
        alive: called from time to time while gigabytes are read; may raise to stop.
    """
    total = hashlib.sha256()
    for path in sorted(files):
        total.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            for count, block in enumerate(iter(lambda: file.read(_BLOCK), b"")):
                total.update(block)
                if count % 256 == 255:
                    alive()
    return total.hexdigest()
