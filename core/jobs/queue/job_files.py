"""The files of a job until it has ended: its moving preview, its checkpoint. One file a job and folder.

A file is written under another name and then renamed, so that a reader finds the old one or the new one. It is not
forced to the disk: its hash shows when a power cut has damaged a checkpoint, and this costs some steps. A file that
cannot be stored or removed is only a line in the log: the video matters more.
"""

import logging
from pathlib import Path

from core.domain.video import is_id
from core.errors import NotFound

_LOG = logging.getLogger(__name__)


class JobFiles:
    """One folder of such files, `<job><suffix>`. Written by the dispatcher alone."""

    def __init__(self, folder: Path, suffix: str) -> None:
        self._folder = folder
        self._suffix = suffix

    def keep(self, job_id: str, data: bytes) -> bool:
        """Replace the file of a job; whether that worked."""
        path = self._path(job_id)
        part = path.with_name(path.name + ".part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            part.write_bytes(data)
            part.replace(path)
        except OSError as error:
            _LOG.warning("%s could not be stored: %s", path.name, error)
            return False
        return True

    def read(self, job_id: str) -> bytes:
        """The latest file of a job, or b"" when there is none that can be read."""
        try:
            return self._path(job_id).read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            _LOG.warning("%s could not be read: %s", self._path(job_id).name, error)
            return b""

    def path(self, job_id: str) -> Path:
        """The path of the file of a job. Raises NotFound: not an id, or it has none."""
        path = self._path(job_id)
        if not is_id(job_id) or not path.is_file():
            raise NotFound(f"The job {job_id!r} has no file in {path.parent.name}.")
        return path

    def forget(self, job_id: str) -> None:
        """Remove the file of a job, complete or half written, if there is one."""
        path = self._path(job_id)
        for name in (path.name, f"{path.name}.part"):
            self._remove(path.with_name(name))

    def job_ids(self) -> set[str]:
        """The jobs that have a file here, also a half-written one."""
        if not self._folder.is_dir():
            return set()
        return {path.name.partition(".")[0] for path in self._folder.iterdir()
                if path.name.removesuffix(".part").endswith(self._suffix)}

    def _path(self, job_id: str) -> Path:
        return self._folder / f"{job_id}{self._suffix}"

    def _remove(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            _LOG.warning("%s could not be removed: %s", path.name, error)


def previews(data_dir: Path) -> JobFiles:
    """The previews of running and paused jobs: animated WebPs, which the media routes serve."""
    return JobFiles(data_dir / "previews", ".webp")


def checkpoints(data_dir: Path) -> JobFiles:
    """The checkpoints from which unfinished jobs can resume."""
    return JobFiles(data_dir / "checkpoints", ".ckpt")
