"""Writes files so that a crash leaves the old file or the new one, never a half-written one."""

import errno
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from core.errors import DiskFull, ReadOnly, StudioError

PART = ".part"  # the suffix of a file until it is complete

_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextmanager
def disk_errors(where: str) -> Iterator[None]:
    """Turn a disk error of the operating system into a sentence for the person."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFull(f"There is no room left in {where}; free some space and try again.") from error
        if error.errno in _FORBIDDEN:
            raise ReadOnly(f"The studio may not write into {where}: {error.strerror}.") from error
        raise StudioError(f"Writing into {where} failed: {error.strerror or error}.") from error


def write_file(path: Path, data: bytes | Iterable[bytes], on_part: Callable[[], None] = lambda: None,
               durable: bool = True) -> None:
    """Write `data` under its final name: complete and on the disk, or not at all.

    Args:
        data: the content, or an iterable of its pieces, read one at a time.
        on_part: called when the data is on the disk but not yet under its name.
        durable: False does not wait for the disk: after a power cut the file may be old or damaged.

    Raises:
        DiskFull, ReadOnly, StudioError: the disk refused the write; no new file remains.
    """
    with disk_errors(str(path.parent)):
        try:
            _write_part(path, [data] if isinstance(data, bytes) else data, durable)
            on_part()
            part_of(path).replace(path)
        except OSError:
            part_of(path).unlink(missing_ok=True)
            raise
        if durable:
            sync_folder(path.parent)


def write_parts(contents: Mapping[Path, bytes]) -> None:
    """Write each content beside its path, as a part. When this returns, all parts are on the disk.

    All parts are forced to the disk at the same time. This takes about as long as one part.

    Raises:
        DiskFull, ReadOnly, StudioError: the disk refused the write; no part remains.
    """
    with disk_errors(str(next(iter(contents)).parent)), ThreadPoolExecutor(len(contents)) as threads:
        try:
            list(threads.map(lambda path: _write_part(path, [contents[path]], durable=True), contents))
        except OSError:
            threads.shutdown()
            for path in contents:
                part_of(path).unlink(missing_ok=True)
            raise


def part_of(path: Path) -> Path:
    """The path of the file until it is complete."""
    return path.with_name(path.name + PART)


def _write_part(path: Path, pieces: Iterable[bytes], durable: bool) -> None:
    with part_of(path).open("wb") as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        if durable:
            os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make renames and removals in `folder` durable. Windows does this automatically and opens no folders."""
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
