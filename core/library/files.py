"""How a file is written so that a crash leaves the old one or the new one, never half of one."""

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import DiskFull, ReadOnly, StudioError

PART = ".part"  # what a file is called until it is whole

_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextmanager
def disk_errors(where: str) -> Iterator[None]:
    """Turn what the operating system says about the disk into a sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFull(f"There is no room left in {where}; free some space and try again.") from error
        if error.errno in _FORBIDDEN:
            raise ReadOnly(f"The studio may not write into {where}: {error.strerror}.") from error
        raise StudioError(f"Writing into {where} failed: {error.strerror or error}.") from error


def write_file(path: Path, data: bytes, on_part: Callable[[], None] = lambda: None, durable: bool = True,
               named: bool = True) -> None:
    """Put `data` under its final name, whole and on the disk, or not at all.

    Args:
        on_part: called when the data is on the disk but not yet under its name.
        durable: False does not wait for the disk: after a power cut the file may be old or damaged.
        named: False waits for the content alone; the new name is as durable as the next file's in that folder.

    Raises:
        DiskFull, ReadOnly, StudioError: the disk said no; nothing new is left.
    """
    part = path.with_name(path.name + PART)
    with disk_errors(str(path.parent)):
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            on_part()
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        if durable and named:
            sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames and removals in `folder` durable; Windows does this by itself and opens no folders."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
