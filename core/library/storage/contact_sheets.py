"""The contact sheets of auditions. Only the newest ones are stored, and only the dispatcher writes them.

A sheet can be made again from the seeds in its job. So it is no video of the library and needs no backup.
"""

import logging
from pathlib import Path

from core.domain.video import is_id
from core.errors import NotFound
from core.library.atomic_files import PART, disk_errors, write_file

KEPT = 20
_LOG = logging.getLogger(__name__)


class ContactSheets:
    """The folder of the sheets, `<job>.webp`."""

    def __init__(self, data_dir: Path, kept: int = KEPT) -> None:
        """Creates no folder yet.

        Args:
            kept: the number of sheets to store, the newest ones.
        """
        self._folder = data_dir / "auditions"
        self._kept = kept

    def keep(self, job_id: str, sheet: bytes) -> None:
        """Store a sheet under its name, complete or not at all, and remove the oldest ones.

        Raises:
            DiskFull, ReadOnly, StudioError: the disk refused the write.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        write_file(self._path(job_id), sheet)
        self._clear()

    def path(self, job_id: str) -> Path:
        """The sheet of a job. Raises NotFound."""
        path = self._path(job_id)
        if not is_id(job_id) or not path.is_file():
            raise NotFound(f"There is no contact sheet of {job_id!r}: only the newest {self._kept} are kept.")
        return path

    def forget(self, job_id: str) -> None:
        """Remove the sheet of a job, if there is one.

        Raises:
            ReadOnly, StudioError: the disk refused.
        """
        with disk_errors(str(self._folder)):
            self._path(job_id).unlink(missing_ok=True)

    def _path(self, job_id: str) -> Path:
        return self._folder / f"{job_id}.webp"

    def _clear(self) -> None:
        """Remove the oldest sheets (an id begins with its time), and half-written files of a crash."""
        sheets = sorted((path for path in self._folder.iterdir() if path.suffix == ".webp"), reverse=True)
        for path in (*sheets[self._kept:], *self._folder.glob(f"*{PART}")):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                _LOG.warning("%s could not be removed: %s", path.name, error)
