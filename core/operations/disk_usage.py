"""How much of the disk the studio uses, and for what."""

import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DiskUse:
    """Bytes on the disk.

    Attributes:
        library: the videos with their pictures and settings, without the trash.
        trash: the deleted videos.
        derived: the files made from videos (GIFs, comparisons).
        models: the models.
        free: free space.
    """

    library: int
    trash: int
    derived: int
    models: int
    free: int


def disk_use(library: Path, derived: Path, models: Iterable[Path]) -> DiskUse:
    """Measure: every file is looked at, which takes about a second for 100,000 videos.

    Args:
        library: its folder, with the trash inside. derived: the folder of the files made from its videos.
        models: folders with models; a file that two of them link to counts once.
    """
    trash = _bytes([library / "trash"])
    place = next(folder for folder in (library, *library.parents) if folder.is_dir())
    return DiskUse(_bytes([library]) - trash, trash, _bytes([derived]), _bytes(models),
                   shutil.disk_usage(place).free)


def _bytes(folders: Iterable[Path]) -> int:
    """The sizes of all files below, those with several names once; links are not followed."""
    found, seen = 0, set()
    for folder in folders:
        for entry in _files(folder):
            try:
                about = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # removed by another process
            if not stat.S_ISREG(about.st_mode) or (about.st_nlink > 1 and (about.st_dev, about.st_ino) in seen):
                continue
            if about.st_nlink > 1:
                seen.add((about.st_dev, about.st_ino))
            found += about.st_size
    return found


def _files(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from _files(Path(entry.path))
                else:
                    yield entry
    except FileNotFoundError:
        return  # removed by another process
