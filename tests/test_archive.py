"""Many videos as one ZIP: every reader opens it, every byte is there, and memory does not grow with it."""

import io
import os
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.web.archive import MISSING, Member, archive

NOON = datetime(2026, 11, 24, 12, 30, 58, tzinfo=UTC)
ROOT = Path(__file__).resolve().parent.parent


def made(tmp_path: Path, sizes: list[int]) -> list[Member]:
    members = []
    for number, size in enumerate(sizes):
        path = tmp_path / f"{number}.bin"
        path.write_bytes(os.urandom(size))
        members.append(Member(f"wörd-{number}.mp4", path, NOON))
    return members


@pytest.mark.parametrize(("large", "many"), [({}, {}), (1000, 4), (1000, 2**16 - 1), (1, 1), (2**32 - 1, 4)])
def test_every_file_comes_out_as_it_went_in_also_where_numbers_are_long(tmp_path, large, many):
    limits = {name: value for name, value in (("large", large), ("many", many)) if value}
    members = made(tmp_path, [0, 1, 999, 1000, 300_000, 7])
    whole = b"".join(archive(iter(members), **limits))
    with zipfile.ZipFile(io.BytesIO(whole)) as opened:
        assert opened.namelist() == [member.name for member in members] and opened.testzip() is None
        for member, info in zip(members, opened.infolist(), strict=True):
            assert opened.read(info) == member.path.read_bytes()
            assert (info.compress_type, info.date_time) == (zipfile.ZIP_STORED, (2026, 11, 24, 12, 30, 58))
            assert info.external_attr >> 16 == 0o100644
    path = tmp_path / "whole.zip"
    path.write_bytes(whole)
    assert subprocess.run([sys.executable, "-m", "zipfile", "-t", path], check=True, capture_output=True).stdout


def test_an_empty_archive_is_one(tmp_path):
    with zipfile.ZipFile(io.BytesIO(b"".join(archive([])))) as opened:
        assert opened.namelist() == []


def test_more_files_than_a_plain_zip_can_count_are_all_there(tmp_path):
    (member,) = made(tmp_path, [3])
    members = (Member(f"{number}.json", member.path, NOON) for number in range(2**16 + 2))
    with zipfile.ZipFile(io.BytesIO(b"".join(archive(members)))) as opened:
        assert len(opened.namelist()) == 2**16 + 2 and opened.read("65537.json") == member.path.read_bytes()


def test_missing_files_are_named_and_the_rest_is_there(tmp_path):
    first, second = made(tmp_path, [10, 20])
    first.path.unlink()
    with zipfile.ZipFile(io.BytesIO(b"".join(archive([first, second, Member("x.json", None, NOON)])))) as opened:
        assert opened.namelist() == [second.name, MISSING]
        assert opened.read(MISSING).decode().splitlines()[1:] == [first.name, "x.json"]


def test_a_file_that_shrinks_on_the_way_breaks_the_stream_rather_than_the_archive(tmp_path):
    (member,) = made(tmp_path, [3 * 10**6])
    pieces = archive([member])
    next(pieces)
    next(pieces)
    member.path.write_bytes(b"short")
    with pytest.raises(OSError, match="shorter"):
        list(pieces)


MEASURED = """
import hashlib, sys, tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from core.web.archive import Member, archive
path, count = Path(sys.argv[1]), int(sys.argv[2])
members = (Member(f"{number:06d}.mp4", path, datetime.now(UTC)) for number in range(count))
tracemalloc.start()
digest, size = hashlib.sha256(), 0
for piece in archive(members):
    digest.update(piece)
    size += len(piece)
print(size, tracemalloc.get_traced_memory()[1])
"""


def test_memory_is_the_same_for_two_videos_and_for_hundreds_of_megabytes(tmp_path):
    path = tmp_path / "video.mp4"
    path.write_bytes(os.urandom(2 * 10**6))

    def measure(count: int) -> tuple[int, int]:
        done = subprocess.run([sys.executable, "-c", MEASURED, path, str(count)], cwd=ROOT, check=True,
                              stdout=subprocess.PIPE, text=True)
        size, peak = map(int, done.stdout.split())
        return size, peak

    few, many = measure(2), measure(200)
    assert many[0] > 400 * 10**6 and few[0] < 5 * 10**6
    assert many[1] < few[1] + 10**6, (few, many)
