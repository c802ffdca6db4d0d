"""What can be said before a video runs: words the model does not know, prompts that suit it, causes."""

import re
from collections.abc import Container
from dataclasses import dataclass, replace
from importlib import metadata

from core.domain.modes import MODES
from core.domain.receipt import Environment, LoadedModel, Receipt
from core.domain.verdict import environment_causes, method_causes, model_causes

_WORD = re.compile(r"[^\W\d_]+(?:'[a-z]+)?")


@dataclass(frozen=True)
class Forecast:
    """What making a video again here will do differently.

    Attributes:
        causes: the differences that are certain, one sentence each.
        known: whether these are all; False while the worker has not said what its machine and its model are.
    """

    causes: tuple[str, ...] = ()
    known: bool = False


def expected_causes(receipt: Receipt, now: Environment | None, warm: LoadedModel | None,
                    models: Container[str]) -> Forecast:
    """What this machine would do differently from the one of `receipt`.

    Args:
        now: what the worker said of this machine; while it is unknown, only installed versions are compared.
        warm: the model that is loaded in the worker; of any other nothing is known before it is loaded.
        models: keys of the models that can be asked for here.
    """
    before = receipt.environment
    causes: tuple[str, ...] = ()
    if receipt.model not in models:
        causes += (f"the model {receipt.model} is not known here",)
    same = warm if warm is not None and warm.model == receipt.model else None
    if same is not None:
        causes += model_causes(receipt, same)
    known = now is not None and same is not None
    if now is None:
        now = replace(before, versions={**before.versions, **_other_versions(before.versions)})
    mode = MODES.get(receipt.method.get("mode", ""))
    if mode is not None:
        causes += method_causes(receipt.method, mode.document(now.device))
    return Forecast(causes + environment_causes(before, now), known)


def _other_versions(packages: dict[str, str]) -> dict[str, str]:
    """Those `packages` that are installed in another version; which build (`+cpu`) only the worker knows."""
    found = {}
    for package, version in packages.items():
        try:
            installed = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
        if installed.partition("+")[0] != version.partition("+")[0]:
            found[package] = installed
    return found
