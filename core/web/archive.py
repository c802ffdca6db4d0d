"""A ZIP archive as a stream. It is made while it is sent, and needs the same memory for one video and for many.

The files are stored without compression, because an MP4 does not get smaller. Large numbers use the 64-bit form.
Each file is read twice, for its CRC and for its bytes, because every unpacker expects the header before the file.
A temporary file holds the list of files until the end.
"""

import struct
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

from core.errors import NotFound, StudioError
from core.library.library import Library

CHUNK = 256 * 1024
MISSING = "not in this archive.txt"

_LARGE, _MANY = 2**32 - 1, 2**16 - 1  # the limits of the fields of a plain ZIP
_PLAIN, _LONG = 20, 45  # the version a reader must understand
_UTF8 = 0x0800
_UNIX, _FILE = 3 << 8, 0o100644 << 16
_INLINE = 2**20  # bytes of the list of files that stay in memory


@dataclass(frozen=True)
class Member:
    """A file of the archive: its name there, its path (None: it is missing), and its time (UTC)."""

    name: str
    path: Path | None
    moment: datetime


def archive(members: Iterable[Member], large: int = _LARGE, many: int = _MANY) -> Iterator[bytes]:
    """The archive in pieces of at most 256 kB.

    A text at its end names the missing files. The members are read one at a time.

    Args:
        large, many: the numbers of bytes and of files from which the 64-bit form is used.
    """
    missing: list[str] = []
    with tempfile.SpooledTemporaryFile(_INLINE) as spool:
        listed = cast(BinaryIO, spool)
        writing = _Writing(listed, large)
        for member in members:
            try:
                file = None if member.path is None else member.path.open("rb")
            except FileNotFoundError:
                file = None
            if file is None:
                missing.append(member.name)
                continue
            with file:
                yield from writing.member(member, file)
        if missing:
            text = "These files were gone or damaged when the archive was made:\n" + "\n".join(missing) + "\n"
            with tempfile.SpooledTemporaryFile(_INLINE) as note:
                note.write(text.encode())
                yield from writing.member(Member(MISSING, None, datetime.now(UTC)), cast(BinaryIO, note))
        size = listed.tell()
        listed.seek(0)
        while chunk := listed.read(CHUNK):
            yield chunk
        yield _end(writing.count, size, writing.offset, large, many)


def members(library: Library, video_ids: Iterable[str], slug: Callable[[str], str]) -> Iterator[Member]:
    """The MP4 and the sidecar of each video, under unique names that every disk accepts.

    A video that was deleted after the choice is read from the trash.
    """
    for video_id in video_ids:
        try:
            moment = datetime.strptime(video_id[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            moment = datetime.now(UTC)  # the digits of an id are not always a valid date
        try:
            video = library.trash.read(video_id) if library.trash.has(video_id) else library.get(video_id)
        except StudioError:
            video = None  # its files may still exist
        name = f"{slug(video.title)}-{video_id}" if video else video_id
        for suffix, path_of in ((".mp4", library.mp4_path), (".json", library.sidecar_path)):
            path: Path | None
            try:
                path = path_of(video_id)
            except NotFound:
                path = library.trash.path(video_id, suffix)
            yield Member(name + suffix, path, moment)


class _Writing:
    """The position in the stream, and the list of files so far."""

    def __init__(self, listed: BinaryIO, large: int) -> None:
        self.count = self.offset = 0
        self._listed = listed
        self._large = large

    def member(self, member: Member, file: BinaryIO) -> Iterator[bytes]:
        """One file: its header, its bytes. Raises OSError: it became shorter while it was read."""
        crc, size = _measured(file)
        head, entry = self._headers(member, crc, size)
        self._listed.write(entry)
        yield head
        file.seek(0)
        left = size
        while left:
            chunk = file.read(min(CHUNK, left))
            if not chunk:
                raise OSError(f"{member.name} became shorter while it was read")
            left -= len(chunk)
            yield chunk
        self.count += 1
        self.offset += len(head) + size

    def _headers(self, member: Member, crc: int, size: int) -> tuple[bytes, bytes]:
        """The header before the file, and its entry in the list at the end."""
        name, (date, time) = member.name.encode(), _dos(member.moment)
        far = self.offset >= self._large
        shown = _LARGE if size >= self._large else size
        long = struct.pack("<2Q", size, size) if size >= self._large else b""
        extra = struct.pack("<2H", 1, len(long)) + long if long else b""
        head = struct.pack("<I5H3I2H", 0x04034B50, _LONG if long else _PLAIN, _UTF8, 0, time, date, crc, shown,
                           shown, len(name), len(extra)) + name + extra
        long += struct.pack("<Q", self.offset) if far else b""
        extra = struct.pack("<2H", 1, len(long)) + long if long else b""
        version = _LONG if long else _PLAIN
        entry = struct.pack("<I6H3I5H2I", 0x02014B50, _UNIX | version, version, _UTF8, 0, time, date, crc, shown,
                            shown, len(name), len(extra), 0, 0, 0, _FILE, _LARGE if far else self.offset)
        return head, entry + name + extra


def _measured(file: BinaryIO) -> tuple[int, int]:
    """CRC-32 and size of a file, read in pieces."""
    crc = size = 0
    file.seek(0)
    while chunk := file.read(CHUNK):
        crc, size = zlib.crc32(chunk, crc), size + len(chunk)
    return crc, size


def _end(count: int, size: int, offset: int, large: int, many: int) -> bytes:
    """The end of the archive: the number of listed files, and the length and position of the list."""
    end = b""
    if count >= many or size >= large or offset >= large:
        end = struct.pack("<IQ2H2I4Q", 0x06064B50, 44, _UNIX | _LONG, _LONG, 0, 0, count, count, size, offset)
        end += struct.pack("<2IQI", 0x07064B50, 0, offset + size, 1)
        count, size, offset = _MANY, _LARGE, _LARGE
    return end + struct.pack("<I4H2IH", 0x06054B50, 0, 0, count, count, size, offset, 0)


def _dos(moment: datetime) -> tuple[int, int]:
    """Date and time in the form of MS-DOS; years before 1980 become 1980."""
    year = max(1980, moment.year)
    return ((year - 1980) << 9 | moment.month << 5 | moment.day,
            moment.hour << 11 | moment.minute << 5 | moment.second // 2)
