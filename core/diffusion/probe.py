"""python -m core.diffusion.probe: the findings of torch on this machine, as one JSON object on stdout."""

import json
import sys
from dataclasses import asdict

import torch

from core.diffusion.device import device_of, environment, quiet
from core.errors import StudioError
from core.families.catalog import catalog, folder_on_disk
from core.families.model_folder import check
from core.families.registry import family_of
from core.settings import Settings, hub_cache


def main() -> int:
    """Print the environment, GPU memory in bytes, and each model folder's problem ("" is none); or the error."""
    quiet()
    settings = Settings.from_env()
    try:
        device = device_of(settings)
    except StudioError as error:
        print(json.dumps({"error": str(error)}))  # noqa: T201
        return 0
    free, total = torch.cuda.mem_get_info(device) if device.type == "cuda" else (0, 0)
    problems = {}
    for key, spec in catalog(settings.models_dir).items():
        folder = folder_on_disk(settings.models_dir, hub_cache(), spec)
        if folder is None:
            continue
        try:
            check(folder, family_of(spec).layout)
            problems[key] = ""
        except StudioError as error:
            problems[key] = str(error)
    print(json.dumps({**asdict(environment(device)), "free_bytes": free, "total_bytes": total,  # noqa: T201
                      "models": problems}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
