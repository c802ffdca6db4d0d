"""The door of the queue: what a request must fulfil here before it is accepted."""

import shutil

from core.domain.models import ModelSpec, find
from core.domain.request import VideoRequest, resolve
from core.errors import BadRequest, DiskFull
from core.settings import Settings


def accepted(request: VideoRequest, models: dict[str, ModelSpec], default_model: str, has_cuda: bool,
             settings: Settings) -> VideoRequest:
    """The request as it will run.

    Raises:
        BadRequest: refused, with the field and the reason.
        DiskFull: less disk is free than `T2V_MIN_FREE_MB`.
    """
    resolved = resolve(request, models, default_model)
    spec = find(models, resolved.model)
    if spec.needs_cuda and not has_cuda:
        raise BadRequest("model", f"{spec.title} needs an NVIDIA GPU and this machine has none. "
                                  "Choose the demo model, or run the studio on a machine with a GPU.")
    free_mb = shutil.disk_usage(settings.data_dir).free // 10**6
    if free_mb < settings.min_free_mb:
        raise DiskFull(f"Only {free_mb:,} MB are free where the videos are kept ({settings.data_dir}); "
                       f"{settings.min_free_mb:,} MB must stay free. "
                       "Delete videos and empty the trash, or choose another folder with T2V_DATA_DIR.")
    return resolved
