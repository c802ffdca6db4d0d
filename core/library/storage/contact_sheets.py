"""The contact sheets of auditions: derived, few, and gone when newer ones come. Made by the dispatcher alone.

A sheet can be made again from the seeds that its job remembers, so it is no video of the library and nobody backs
it up.
"""

import logging
from pathlib import Path

from core.domain.video import is_id
from core.errors import NotFound
from core.library.atomic_files import PART, disk_errors, write_file

KEPT = 20
_LOG = logging.getLogger(__name__)


class ContactSheets:
    """One folder of them, `<job>.webp`."""

    def __init__(self, data_dir: Path, kept: int = KEPT) -> None:
        """Touches nothing yet.

        Args:
            kept: how many stay, the newest ones.
        """
        self._folder = data_dir / "auditions"
        self._kept = kept

    def keep(self, job_id: str, sheet: bytes) -> None:
        """Put a sheet under its name, whole or not at all, and remove those that are too old.

        Raises:
            DiskFull, ReadOnly, StudioError: the disk said no.
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
        """Remove the sheet of a job that has ended, if there is one.

        Raises:
            ReadOnly, StudioError: the disk said no.
        """
        with disk_errors(str(self._folder)):
            self._path(job_id).unlink(missing_ok=True)

    def _path(self, job_id: str) -> Path:
        return self._folder / f"{job_id}.webp"

    def _clear(self) -> None:
        """Remove all but the newest (an id begins with its time), and what a crash left half-written."""
        sheets = sorted((path for path in self._folder.iterdir() if path.suffix == ".webp"), reverse=True)
        for path in (*sheets[self._kept:], *self._folder.glob(f"*{PART}")):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                _LOG.warning("%s could not be removed: %s", path.name, error)
