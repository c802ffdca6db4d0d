"""Fetching a model from a hub: a real HTTP server on this machine that answers as the hub does."""

import hashlib
import json
import re
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from safetensors.torch import load_file, save_file
from tiny import make_checkpoint

from core.diffusion import hub, loader
from core.diffusion.engine import Engine
from core.domain.recipe import Recipe
from core.errors import Cancelled, DiskFull, ModelUnavailable
from core.families.catalog import folder_on_disk
from core.families.registry import MODELS
from core.families.unet3d.layout import LAYOUT
from core.operations import doctor
from core.settings import Settings
from core.studio import open_studio

COMMIT = "8227dddca75a8561bf858d604cc5dae52b954d01"
SPEC = replace(MODELS["modelscope-1.7b"], repo_id="somebody/tiny", revision=COMMIT, needs_cuda=False)
UNET = "unet/diffusion_pytorch_model.fp16.safetensors"


class HubServer(ThreadingHTTPServer):
    """The part of the hub's HTTP interface that a download uses: the tree of a commit, and files with ranges.

    Attributes:
        requests: (method, path, Range header) of everything asked for.
        cut_after: path → bytes after which its answers break off, as a lost connection does.
        status: when set, every answer is this error.
        empty, longer: paths whose answers are complete for HTTP, but have no bytes, or some too many.
    """

    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), HubRequest)
        self.folder = folder
        self.requests, self.cut_after, self.status, self.ranges = [], {}, None, True
        self.empty, self.longer = set(), set()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def asked_for(self, path, method="GET"):
        return [ranges for verb, asked, ranges in self.requests if verb == method and asked.endswith(path)]


class HubRequest(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self.path.partition("?")[0]
        self.server.requests.append((self.command, path, self.headers.get("Range")))
        if self.server.status:
            self._send(self.server.status, b"{}")
        elif path == f"/api/models/somebody/tiny/tree/{COMMIT}":
            self._send(200, json.dumps(self._tree()).encode())
        elif path.startswith(f"/somebody/tiny/resolve/{COMMIT}/"):
            self._file(path.partition(f"/resolve/{COMMIT}/")[2])
        else:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _tree(self):
        entries = []
        for path in sorted(p for p in self.server.folder.rglob("*") if p.is_file()):
            data = path.read_bytes()
            entry = {"type": "file", "path": path.relative_to(self.server.folder).as_posix(), "size": len(data),
                     "oid": hashlib.sha1(data).hexdigest()}
            if path.suffix in (".safetensors", ".bin"):
                entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
            entries.append(entry)
        return entries

    def _file(self, name):
        data = (self.server.folder / name).read_bytes()
        big = name.endswith((".safetensors", ".bin"))
        headers = {"ETag": f'"{(hashlib.sha256 if big else hashlib.sha1)(data).hexdigest()}"',
                   "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        start = int(wanted[1]) if wanted and self.server.ranges else 0
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        body = b"" if name in self.server.empty else data[start:]
        if name in self.server.longer and self.command != "HEAD":
            body += b"and more"
        self._send(206 if start else 200, body, headers, self.server.cut_after.get(name))

    def _send(self, status, body, headers=None, cut_after=None):
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:cut_after])
        if cut_after is not None and self.command != "HEAD":
            self.close_connection = True


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A repository as ModelScope's is: half and single precision, pickles beside the safetensors, a README."""
    folder = make_checkpoint(tmp_path_factory.mktemp("hub") / "tiny")
    for path in list(folder.rglob("*.safetensors")):
        half = {name: tensor.half() for name, tensor in load_file(path).items()}
        save_file(half, path.with_name(path.stem + ".fp16.safetensors"), metadata={"format": "pt"})
        path.with_suffix(".bin").write_bytes(b"a pickle that nobody asks for")
    (folder / "README.md").write_text("# A model")
    return folder


@pytest.fixture
def server(repository):
    with HubServer(repository) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def place(server, tmp_path):
    return hub.Hub(endpoint=server.endpoint, cache_dir=tmp_path / "cache", retry_wait_s=0)


def settings(tmp_path, **values):
    return Settings.from_env({}, models_dir=tmp_path / "models", device="cpu", **values)


def test_only_what_is_loaded_is_fetched_and_progress_counts_its_bytes(server, place, repository, monkeypatch):
    monkeypatch.setattr(hub, "REPORT_INTERVAL_S", 0.0)
    seen = []
    folder = hub.fetch(SPEC, LAYOUT, False, seen.append, place)
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert UNET in names
    assert not {name for name in names if name.endswith((".bin", ".md"))}
    assert all(name.endswith(".fp16.safetensors") for name in names if name.endswith(".safetensors"))
    total = sum((repository / name).stat().st_size for name in names)
    counted = [p for p in seen if p.total]
    assert {(p.phase, p.total) for p in counted} == {("downloading", total)}
    assert [p.done for p in counted] == sorted(p.done for p in counted)
    assert counted[-1].done == total
    assert len(counted) > len(names)
    asked = len(server.requests)
    assert hub.fetch(SPEC, LAYOUT, True, seen.append, place) == folder
    assert len(server.requests) == asked, "what is there is not asked for again"


def test_a_model_of_the_hub_runs_and_its_receipt_names_repository_and_commit(place, tmp_path, monkeypatch):
    monkeypatch.setitem(MODELS, SPEC.key, SPEC)
    engine = Engine(settings(tmp_path), place)
    recipe = Recipe("a red ball", "", SPEC.key, 2, 2, 5.0, 8, 1, 32, 32, "ddim", "exact")
    receipt = engine.generate(recipe, lambda _: None).receipt
    assert (receipt.model_source, receipt.model_revision) == ("somebody/tiny", COMMIT)


def test_a_connection_that_breaks_is_taken_up_again_where_it_broke(server, place, repository):
    size = (repository / UNET).stat().st_size
    server.cut_after[UNET] = size // 4 + 1
    folder = hub.fetch(SPEC, LAYOUT, False, lambda _: None, place)
    assert (folder / UNET).read_bytes() == (repository / UNET).read_bytes()
    starts = [int(ranges[6:-1]) for ranges in server.asked_for(UNET)]
    assert starts[0] == 0
    assert starts == sorted(starts)
    assert len(set(starts)) == 4, "four pieces, none fetched twice"


def test_a_cancelled_download_resumes_later_with_the_bytes_it_has(server, place, repository, monkeypatch):
    monkeypatch.setattr(hub, "REPORT_INTERVAL_S", 0.0)
    size = (repository / UNET).stat().st_size
    partial = place.repository(SPEC) / "blobs"

    def cancel(progress):
        kept = [p.stat().st_size for p in partial.glob("*.incomplete")] if partial.is_dir() else []
        if any(0 < bytes_ < size for bytes_ in kept) and server.asked_for(UNET):
            raise Cancelled

    with pytest.raises(Cancelled):
        hub.fetch(SPEC, LAYOUT, False, cancel, place)
    kept = [p.stat().st_size for p in partial.glob("*.incomplete")]
    assert len(kept) == 1
    assert 0 < kept[0] < size
    server.requests.clear()
    seen = []
    folder = hub.fetch(SPEC, LAYOUT, False, seen.append, place)
    assert server.asked_for(UNET) == [f"bytes={kept[0]}-"]
    assert (folder / UNET).read_bytes() == (repository / UNET).read_bytes()
    assert not list(partial.glob("*.incomplete"))


def test_a_server_that_knows_no_ranges_is_read_from_the_beginning(server, place, repository):
    server.ranges = False
    server.cut_after[UNET] = (repository / UNET).stat().st_size // 2
    with pytest.raises(ModelUnavailable, match="try again; the downloaded part stays"):
        hub.fetch(SPEC, LAYOUT, False, lambda _: None, place)
    server.cut_after.clear()
    folder = hub.fetch(SPEC, LAYOUT, False, lambda _: None, place)
    assert (folder / UNET).read_bytes() == (repository / UNET).read_bytes()


def test_answers_without_bytes_end_the_download_with_a_sentence(server, place, repository):
    server.empty.add(UNET)
    with pytest.raises(ModelUnavailable, match="sends nothing of unet"):
        hub.fetch(SPEC, LAYOUT, False, lambda _: None, place)
    assert len(server.asked_for(UNET)) == hub.ATTEMPTS
    server.empty.clear()
    assert (hub.fetch(SPEC, LAYOUT, False, lambda _: None, place) / UNET).is_file()


def test_a_cancel_is_met_between_answers_without_bytes(server, place):
    server.empty.add(UNET)

    def cancel(_):
        if server.asked_for(UNET):
            raise Cancelled

    with pytest.raises(Cancelled):
        hub.fetch(SPEC, LAYOUT, False, cancel, place)
    assert len(server.asked_for(UNET)) == 1


def test_an_answer_longer_than_the_file_ends_the_download_and_is_removed(server, place):
    server.longer.add(UNET)
    with pytest.raises(ModelUnavailable, match="sends more of unet"):
        hub.fetch(SPEC, LAYOUT, False, lambda _: None, place)
    assert len(server.asked_for(UNET)) == 1
    assert not list((place.repository(SPEC) / "blobs").glob("*.incomplete"))
    server.longer.clear()
    assert (hub.fetch(SPEC, LAYOUT, False, lambda _: None, place) / UNET).is_file()


def test_bytes_that_are_not_those_of_the_hub_are_removed(server, place, repository):
    sha = hashlib.sha256((repository / UNET).read_bytes()).hexdigest()
    blobs = place.repository(SPEC) / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{sha}.incomplete").write_bytes(b"\0" * 1000)
    with pytest.raises(ModelUnavailable, match="arrived damaged"):
        hub.fetch(SPEC, LAYOUT, False, lambda _: None, place)
    assert (hub.fetch(SPEC, LAYOUT, False, lambda _: None, place) / UNET).is_file()


def test_an_index_that_names_other_classes_stops_before_the_weights(server, place, tmp_path):
    folder = make_checkpoint(tmp_path / "evil")
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "unet": ["os", "system"]}))
    server.folder = folder
    with pytest.raises(ModelUnavailable, match="not allowed"):
        hub.fetch(SPEC, LAYOUT, False, lambda _: None, place)
    assert [path for _, path, _ in server.requests] == [f"/somebody/tiny/resolve/{COMMIT}/model_index.json"]


def test_a_repository_of_pickles_is_refused(server, place, tmp_path):
    folder = make_checkpoint(tmp_path / "pickles")
    path = folder / "vae" / "diffusion_pytorch_model.safetensors"
    path.rename(path.with_suffix(".bin"))
    server.folder = folder
    with pytest.raises(ModelUnavailable, match="no safetensors of ModelScope 1.7B's vae"):
        hub.fetch(SPEC, LAYOUT, False, lambda _: None, place)


@pytest.mark.parametrize(("status", "words"), [(401, "refused"), (404, "refused"), (503, "HTTP 503")])
def test_a_hub_that_refuses_is_quoted(server, place, status, words):
    server.status = status
    with pytest.raises(ModelUnavailable, match=words):
        hub.fetch(SPEC, LAYOUT, False, lambda _: None, place)


def test_no_hub_no_network_and_no_room_each_have_a_sentence(server, place, tmp_path, monkeypatch):
    with pytest.raises(ModelUnavailable, match="T2V_OFFLINE"):
        loader.locate(SPEC, settings(tmp_path, offline=True), lambda _: None, place)
    assert server.requests == []
    with pytest.raises(ModelUnavailable, match="Check the connection"):
        hub.fetch(SPEC, LAYOUT, False, lambda _: None, replace(place, endpoint="http://127.0.0.1:9"))
    monkeypatch.setattr(hub, "SPARE_BYTES", 1 << 60)
    with pytest.raises(DiskFull, match="Make room"):
        hub.fetch(SPEC, LAYOUT, False, lambda _: None, place)


def test_a_fetched_model_is_on_disk_for_the_form_the_doctor_and_the_start(place, tmp_path, monkeypatch):
    monkeypatch.setitem(MODELS, SPEC.key, SPEC)
    monkeypatch.setenv("HF_HUB_CACHE", str(place.cache))
    ours = settings(tmp_path, data_dir=tmp_path / "data", min_free_mb=0)

    def seen():
        with open_studio(ours, "visit") as studio:
            check = next(check for check in doctor._models(ours, {}) if check.name == f"Model {SPEC.key}")
            return studio.planner.is_on_disk(SPEC.key), check.found.startswith("on disk at")

    def cancel(progress):
        if progress.done:
            raise Cancelled

    assert seen() == (False, False)
    with pytest.raises(Cancelled):
        hub.fetch(SPEC, LAYOUT, False, cancel, place)
    assert (place.repository(SPEC) / "snapshots" / COMMIT).is_dir()
    assert seen() == (False, False), "a part of it is not it"
    folder = hub.fetch(SPEC, LAYOUT, False, lambda _: None, place)
    assert seen() == (True, True)
    assert folder_on_disk(ours.models_dir, place.cache, SPEC) == folder
    (folder / UNET).resolve().unlink()
    assert seen() == (False, False), "a link to nothing is no file"


def test_every_row_of_the_hub_is_pinned_to_a_commit():
    for row in MODELS.values():
        assert row.repo_id is None or re.fullmatch(r"[0-9a-f]{40}", row.revision), row.key
