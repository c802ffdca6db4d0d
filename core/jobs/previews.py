"""The moving previews of running jobs: `previews/<job>.webp`, one file a job, gone when the job has ended.

A preview that cannot be kept or removed is a line in the log and nothing more: the video matters.
"""

import logging
from pathlib import Path

_LOG = logging.getLogger(__name__)


class Previews:
    """The folder of the previews. Written by the dispatcher alone, read by the media routes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, job_id: str, image: bytes) -> bool:
        """Put a preview (animated WebP) in the place of the one before; whether that worked."""
        path = self._path(job_id)
        part = path.with_name(path.name + ".part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            part.write_bytes(image)
            part.replace(path)
        except OSError as error:
            _LOG.warning("A preview could not be kept: %s", error)
            return False
        return True

    def forget(self, job_id: str) -> None:
        """Remove the preview of a job, if there is one."""
        self._remove(self._path(job_id))

    def clear(self) -> None:
        """Remove all of them: what a crash left."""
        for path in self._folder.glob("*.webp*"):
            self._remove(path)

    def _path(self, job_id: str) -> Path:
        return self._folder / f"{job_id}.webp"

    def _remove(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            _LOG.warning("A preview could not be removed: %s", error)
