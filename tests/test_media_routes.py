"""Media and readiness over HTTP: complete files, parts of files, and nothing that is not a video's."""

import hashlib
import io
import json
import os
import re
import tracemalloc
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import samples
from filelock import FileLock
from starlette.applications import Starlette
from starlette.testclient import TestClient

from core.domain.video import Video
from core.errors import BadRequest, ClipError, DamagedVideo, DiskFull, DoesNotFit, StudioError
from core.library.atomic_files import file_sha256
from core.library.library import Library
from core.settings import Settings
from core.studio import Studio, open_studio
from core.web.archive import archive, members
from core.web.errors import refused
from core.web.media import routes, slug

PROMPT = 'Ein roter "Ball" – ../../etc/passwd; neon city'


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    settings = Settings.from_env({}, data_dir=tmp_path_factory.mktemp("data"))
    with open_studio(settings, role="visit") as opened:
        yield opened


@pytest.fixture(scope="module")
def video(studio: Studio) -> Video:
    return samples.publish(studio, *samples.with_recipe(samples.video(PROMPT)))


@pytest.fixture(scope="module")
def client(studio: Studio) -> Iterator[TestClient]:
    with TestClient(Starlette(routes=routes(lambda: studio))) as opened:
        yield opened


def test_a_video_is_sent_whole_and_may_be_kept_for_ever(client, studio, video):
    answer = client.get(f"/app/static/video/{video.id}.mp4")
    assert answer.status_code == 200 and answer.content == studio.library.mp4_path(video.id).read_bytes()
    assert answer.headers["content-type"] == "video/mp4" and answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "content-disposition" not in answer.headers


@pytest.mark.parametrize(("asked", "first", "last"), [("bytes=0-99", 0, 99), ("bytes=100-", 100, None),
                                                      ("bytes=-50", -50, None)])
def test_a_part_of_a_video_is_sent_as_a_part(client, studio, video, asked, first, last):
    data = studio.library.mp4_path(video.id).read_bytes()
    answer = client.get(f"/app/static/video/{video.id}.mp4", headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.content == data[first:None if last is None else last + 1]
    assert answer.headers["content-range"].endswith(f"/{len(data)}")


def test_a_part_beyond_the_end_is_refused(client, video):
    answer = client.get(f"/app/static/video/{video.id}.mp4", headers={"Range": "bytes=9999999-"})
    assert answer.status_code == 416


def test_the_head_of_a_video_has_its_size_and_no_body(client, studio, video):
    answer = client.head(f"/app/static/video/{video.id}.mp4")
    assert answer.status_code == 200 and answer.content == b""
    assert int(answer.headers["content-length"]) == studio.library.mp4_path(video.id).stat().st_size


def test_a_file_that_a_browser_has_is_not_sent_again(client, video):
    url = f"/app/static/video/{video.id}.mp4"
    etag = client.get(url).headers["etag"]
    again = client.get(url, headers={"If-None-Match": etag})
    assert again.status_code == 304 and again.content == b"" and again.headers["etag"] == etag
    assert client.get(url, headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_download_has_a_readable_and_harmless_name(client, video):
    for suffix in ("mp4", "json"):
        header = client.get(f"/app/static/video/{video.id}.{suffix}?download=1").headers["content-disposition"]
        assert header == f'attachment; filename="{slug(PROMPT)}-{video.id}.{suffix}"'
    assert slug(PROMPT) == "ein-roter-ball-etc-passwd-neon-city"
    assert slug("雪の街") == "video" and len(slug("word " * 100)) <= 48 and slug("é" * 99) == "e" * 48


def test_the_sidecar_the_poster_and_the_animation_are_sent(client, studio, video):
    sidecar = client.get(f"/app/static/video/{video.id}.json")
    assert json.loads(sidecar.content) == studio.video(video.id).document()
    for kind in ("poster", "animation"):
        picture = client.get(f"/app/static/{kind}/{video.id}.webp")
        assert picture.status_code == 200 and picture.headers["content-type"] == "image/webp"
        assert picture.content[8:12] == b"WEBP"


@pytest.mark.parametrize(("kind", "media_type", "begins"), [
    ("gif", "image/gif", b"GIF89a"), ("webm", "video/webm", b"\x1aE\xdf\xa3"), ("png", "application/zip", b"PK")])
def test_other_forms_are_made_when_they_are_asked_for_and_sent_in_parts(client, studio, video, kind, media_type,
                                                                        begins):
    url = f"/app/static/export/{kind}/{video.id}"
    whole = client.get(url, params={"download": 1})
    assert (whole.status_code, whole.headers["content-type"]) == (200, media_type)
    assert whole.content.startswith(begins) and whole.headers["x-content-type-options"] == "nosniff"
    suffix = {"gif": ".gif", "webm": ".webm", "png": ".png.zip"}[kind]
    assert f'filename="ein-roter-ball-etc-passwd-neon-city-{video.id}{suffix}"' in \
        whole.headers["content-disposition"]
    assert client.get(url, headers={"Range": "bytes=0-3"}).content == whole.content[:4]
    again = client.get(url, headers={"If-None-Match": whole.headers["etag"]})
    assert again.status_code == 304
    for file in (studio.settings.data_dir / "derived").iterdir():
        file.unlink()
    assert client.get(url).content == whole.content


@pytest.mark.parametrize("path", ["exe/{id}", "gif/20200101-000000-abcdef", "gif/..%2f..%2fetc%2fpasswd", "gif/x"])
def test_a_form_there_is_not_of_a_video_there_is_not_is_not_found(client, video, path):
    assert client.get("/app/static/export/" + path.format(id=video.id)).status_code == 404


def test_why_a_form_cannot_be_made_is_a_sentence(client, studio):
    broken = samples.publish(studio, *samples.with_recipe(samples.video("broken")))
    path = studio.library.mp4_path(broken.id)
    whole = path.read_bytes()
    for data, word in ((whole[:1000], "cut short"), (whole[:1000].ljust(len(whole), b"\0"), "damaged")):
        path.write_bytes(data)
        answer = client.get(f"/app/static/export/gif/{broken.id}")
        assert answer.status_code == 500 and word in answer.text and "Traceback" not in answer.text


def test_a_preview_is_never_kept(client, studio, video):
    folder = studio.settings.data_dir / "previews"
    folder.mkdir(exist_ok=True)
    (folder / f"{video.id}.webp").write_bytes(b"RIFF....WEBP")
    answer = client.get(f"/app/static/preview/{video.id}.webp?v=3")
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"


def test_a_comparison_is_sent_once_it_was_made_in_parts_too(client, studio, video):
    other = samples.publish(studio, *samples.with_recipe(samples.video("another")))
    url = f"/app/static/comparison/{video.id}_{other.id}.mp4"
    assert client.get(url).status_code == 404
    studio.comparisons.of(video.id, other.id)
    answer = client.get(url, headers={"Range": "bytes=0-99"})
    assert answer.status_code == 206 and len(answer.content) == 100
    assert answer.headers["cache-control"] == "private, no-cache"
    saved = client.get(f"{url}?v=1&download=1").headers["content-disposition"]
    assert saved == f'attachment; filename="comparison-{video.id}-{other.id}.mp4"'
    assert client.get(f"/app/static/comparison/{other.id}_{video.id}.mp4").status_code == 404


@pytest.mark.parametrize("path", [
    "/app/static/comparison/..%2findex_..%2findex.mp4", "/app/static/comparison/_.mp4",
    "/app/static/video/20261122-081301-ffffff.mp4", "/app/static/video/index.mp4",
    "/app/static/video/..%2findex.mp4",
    "/app/static/video/%2e%2e%2f%2e%2e%2fstudio.lock", "/app/static/video/../index.json", "/app/static/index.json",
    "/app/static/preview/..%5c..%5cindex.webp", "/app/static/poster/%00.webp", "/app/static/video/.mp4",
    "/app/static/example/demo.mp4", "/app/static/example/..%2f..%2fREADME.mp4", "/app/static/",
    "/app/static/video/20261122-081301-a1b2c3.mp4.json", "/app/static/video/20261122-081301-a1b2c3%0a.mp4",
])
def test_what_is_not_the_id_of_a_video_is_not_found(client, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.text == "Not found." or answer.text == "Not Found"


def test_a_damaged_video_is_not_found_and_not_an_exception(client, studio):
    broken = samples.publish(studio, *samples.with_recipe(samples.video("broken")))
    studio.library.mp4_path(broken.id).unlink()
    assert client.get(f"/app/static/video/{broken.id}.mp4").status_code == 404
    settings = client.get(f"/app/static/video/{broken.id}.json?download=1")
    assert settings.status_code == 200 and settings.json()["id"] == broken.id, "its settings are whole"


def test_readiness_depends_on_somebody_who_runs_the_jobs(client, studio):
    alone = client.get("/api/ready")
    assert alone.status_code == 503 and alone.headers["cache-control"] == "no-store"
    assert alone.json()["problems"] == ["no process runs the jobs (python -m core dispatch)"]
    with FileLock(studio.settings.data_dir / "studio.lock"):  # as the process that runs them holds it
        answer = client.get("/api/ready")
    assert answer.status_code == 200 and answer.json()["ready"] and not answer.json()["leads"]


def test_a_studio_that_cannot_run_jobs_is_not_ready(tmp_path: Path):
    settings = Settings.from_env({}, data_dir=tmp_path, min_free_mb=10**9)
    with open_studio(settings, role="visit") as full, TestClient(Starlette(routes=routes(lambda: full))) as client:
        answer = client.get("/api/ready")
    assert answer.status_code == 503 and "the disk is nearly full" in answer.json()["problems"]


def test_a_studio_that_cannot_be_opened_says_why(tmp_path: Path):
    def refused() -> Studio:
        return Studio(Settings.from_env({"T2V_MAX_QUEUED": "many"}))

    with TestClient(Starlette(routes=routes(refused))) as client:
        answer = client.get("/api/ready")
        assert client.get("/app/static/video/20261122-081301-a1b2c3.mp4").status_code == 404
    assert answer.status_code == 503 and "T2V_MAX_QUEUED" in answer.json()["problems"][0]


# Archives

def test_many_videos_are_one_file_with_names_that_no_two_share(client, studio, video):
    twin = samples.publish(studio, *samples.with_recipe(samples.video(PROMPT)))
    gone = samples.publish(studio, *samples.with_recipe(samples.video("deleted since")))
    chosen = [video.id, twin.id, gone.id, "20200101-000000-abcdef"]
    paths = {each: (studio.library.mp4_path(each), studio.library.sidecar_path(each)) for each in chosen[:3]}
    wanted = {path.name: path.read_bytes() for pair in paths.values() for path in pair}
    studio.delete(gone.id)
    answer = client.get(f"/app/static/archive/{studio.bulk_actions.pack(chosen)}.zip")
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/zip"
    assert re.fullmatch(r'attachment; filename="4-videos-\d{8}-\d{6}\.zip"', answer.headers["content-disposition"])
    with zipfile.ZipFile(io.BytesIO(answer.content)) as opened:
        assert opened.testzip() is None
        names = opened.namelist()
        assert len(set(names)) == 7 and names[-1] == "not in this archive.txt"
        assert all(re.fullmatch(r"[a-z0-9-]+\.(mp4|json)", name) for name in names[:-1])
        ends = {name: re.search(r"\d{8}-\d{6}-[0-9a-f]{6}\.\w+$", name).group() for name in names[:-1]}
        assert {end: opened.read(name) for name, end in ends.items()} == wanted
        assert "20200101-000000-abcdef.mp4" in opened.read(names[-1]).decode()


def test_an_archive_that_is_not_offered_is_a_sentence_and_asking_for_its_head_makes_nothing(client, studio, video):
    for name in ("0" * 32, "..%2f..%2fetc", "x"):
        assert client.get(f"/app/static/archive/{name}.zip").status_code == 404
    head = client.head(f"/app/static/archive/{studio.bulk_actions.pack([video.id])}.zip")
    assert head.status_code == 200 and head.content == b""


def test_memory_does_not_grow_with_an_archive_of_hundreds_of_megabytes(studio, tmp_path):
    """A library whose videos are one large file under many names, packed and unpacked."""
    plain, data = samples.with_recipe(samples.video("large"))
    library = Library(studio.settings.data_dir, writable=True)
    kept = [library.publish(replace(plain, id=f"20250101-{number:06d}-abcdef"), data) for number in range(40)]
    library.close()
    large = tmp_path / "large.mp4"
    large.write_bytes(os.urandom(10**7))
    for each in kept:
        path = studio.library.mp4_path(each.id)
        path.unlink()
        path.hardlink_to(large)

    def peak(count: int) -> int:
        tracemalloc.start()
        with (tmp_path / "whole.zip").open("wb") as out:
            for piece in archive(members(studio.library, [each.id for each in kept[:count]], slug)):
                out.write(piece)
        try:
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = peak(2), peak(40)
    assert many < few + 10**6, (few, many)
    digest = file_sha256(large)
    with zipfile.ZipFile(tmp_path / "whole.zip") as opened:
        assert len(opened.namelist()) == 80
        for name in opened.namelist()[::2]:
            with opened.open(name) as file:
                assert hashlib.file_digest(file, "sha256").hexdigest() == digest


def every(kind: type[StudioError]) -> list[type[StudioError]]:
    return [kind, *(found for below in kind.__subclasses__() for found in every(below))]


@pytest.mark.parametrize("kind", every(StudioError), ids=lambda kind: kind.__name__)
def test_every_error_has_a_status_and_only_what_is_there_is_explained(kind):
    arguments = {BadRequest: ("seed", "no"), DoesNotFit: ("no", {})}.get(kind, ("A sentence.",))
    answer = refused(kind(*arguments))
    broken = issubclass(kind, ClipError | DamagedVideo | DiskFull)
    assert answer.status_code == (500 if broken else 404)
    assert answer.body.decode() == ("A sentence." if broken else "Not found.")
    assert answer.headers["cache-control"] == "no-store" and answer.headers["x-content-type-options"] == "nosniff"
