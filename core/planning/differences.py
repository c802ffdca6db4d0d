"""The expected differences when a video is made again here, known before it runs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import metadata

from core.domain.models import ModelSpec
from core.domain.modes import MODES
from core.domain.receipt import Environment, LoadedModel, Receipt
from core.domain.verdict import environment_causes, method_causes, model_causes
from core.families.registry import family_of


@dataclass(frozen=True)
class Forecast:
    """The expected differences when a video is made again here.

    Attributes:
        causes: the differences that are certain, one sentence each.
        known: whether these are all differences; False until the worker has reported its machine and its model.
    """

    causes: tuple[str, ...] = ()
    known: bool = False


def expected_causes(receipt: Receipt, now: Environment | None, warm: LoadedModel | None,
                    models: Mapping[str, ModelSpec]) -> Forecast:
    """The differences between this machine and the one of `receipt`.

    Args:
        now: the worker's report of this machine; while it is unknown, only installed versions are compared.
        warm: the model that is loaded in the worker; any other model is unknown until it is loaded.
        models: the models that a request can name here, by their keys.
    """
    before = receipt.environment
    causes: tuple[str, ...] = ()
    spec = models.get(receipt.model)
    if spec is None:
        causes += (f"the model {receipt.model} is not known here",)
    same = warm if warm is not None and warm.model == receipt.model else None
    if same is not None:
        causes += model_causes(receipt, same)
    known = now is not None and same is not None
    if now is None:
        now = replace(before, versions={**before.versions, **_other_versions(before.versions)})
    mode = MODES.get(receipt.method.get("mode", ""))
    if spec is not None and mode is not None:
        causes += method_causes(receipt.method, family_of(spec).method(mode, now.device))
    return Forecast(causes + environment_causes(before, now), known)


def _other_versions(packages: dict[str, str]) -> dict[str, str]:
    """The `packages` that are installed in another version. Only the worker knows the build (`+cpu`)."""
    found = {}
    for package, version in packages.items():
        try:
            installed = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
        if installed.partition("+")[0] != version.partition("+")[0]:
            found[package] = installed
    return found
