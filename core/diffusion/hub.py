"""A model folder fetched from the hub: only the needed files, at one commit, into the cache of the hub.

We stream the big files here. Since huggingface_hub 2, `hf_hub_download` deletes a partial file when it is
interrupted: up to 2.8 GB would be lost. Our partial file is `blobs/<sha256>.incomplete`. The next attempt continues
it, compares it with its SHA-256, and then passes it to the cache.
"""

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import filelock
import httpx2
from huggingface_hub import HfApi, constants, get_session, hf_hub_download, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]

from core.domain.models import ModelSpec
from core.domain.progress import OnProgress, Progress
from core.errors import DiskFull, ModelUnavailable
from core.families import model_folder
from core.families.catalog import hub_repository
from core.families.model_folder import Layout

ATTEMPTS = 5
TIMEOUT_S = 10.0
REPORT_INTERVAL_S = 0.2
SPARE_BYTES = 200_000_000

_SINGLE_FILES = ("model_index.json", "preview.json")


@dataclass(frozen=True)
class Hub:
    """The hub, and the folder of its files. None: as huggingface_hub is configured."""

    endpoint: str | None = None
    cache_dir: Path | None = None
    retry_wait_s: float = 1.0

    @property
    def cache(self) -> Path:
        """The folder of all repositories."""
        return self.cache_dir or Path(constants.HF_HUB_CACHE)

    def repository(self, spec: ModelSpec) -> Path:
        """The cache's folder of one repository: `blobs/` by hash, `snapshots/<commit>/` of links to them."""
        folder = hub_repository(self.cache, spec)
        assert folder is not None, f"{spec.key} is not on the hub"
        return folder


HUB = Hub()


def fetch(spec: ModelSpec, layout: Layout, offline: bool, on_progress: OnProgress, place: Hub = HUB) -> Path:
    """The folder of `spec`'s pinned commit. Missing files are fetched first.

    Args:
        on_progress: called with "downloading", bytes and bytes in all. An error that it raises stops the download;
            the next download resumes where this one stopped.

    Raises:
        ModelUnavailable: offline, unreachable, refused, not safetensors, or arrived damaged.
        DiskFull: the disk has less room than the download needs.
    """
    repo_id, revision = spec.pinned
    folder = place.repository(spec) / "snapshots" / revision
    if is_whole(folder, layout):
        return folder
    if offline:
        raise ModelUnavailable(f"{spec.title} is not on this machine, and the studio is offline (T2V_OFFLINE=1). "
                               "Unset it once so that the model can be fetched, or choose another model.")
    with _spoken(spec):
        index = get_session().get(hf_hub_url(repo_id, "model_index.json", revision=revision,
                                             endpoint=place.endpoint), headers=_headers(), timeout=TIMEOUT_S)
        hf_raise_for_status(index)
        model_folder.check_index(index.json(), spec.title, layout)
        on_progress(Progress("downloading"))
        files = wanted(spec, layout, HfApi(endpoint=place.endpoint).list_repo_tree(
            repo_id, recursive=True, revision=revision))
        _Download(spec, place, files, on_progress).run()
    return folder


def is_whole(folder: Path, layout: Layout) -> bool:
    """Whether a snapshot holds everything that loading needs."""
    try:
        model_folder.check(folder, layout)
    except ModelUnavailable:
        return False
    return True


def wanted(spec: ModelSpec, layout: Layout, listing: Iterable[object]) -> list[RepoFile]:
    """The files of a repository that are loaded: configurations, tokenizer, and one set of safetensors a part.

    Raises:
        ModelUnavailable: a part has no safetensors.
    """
    files = {file.path: file for file in listing if isinstance(file, RepoFile)}
    names = [name for name in _SINGLE_FILES if name in files]
    for part, component in layout.components.items():
        inside = {name.removeprefix(f"{part}/") for name in files if name.startswith(f"{part}/")}
        if component.folder_decides:
            names += [f"{part}/{name}" for name in inside if name.endswith((".json", ".txt")) and "/" not in name]
            continue
        names += [f"{part}/{component.config}"] if component.config in inside else []
        if not component.stem:
            continue
        variants = model_folder.variants_of(component.stem, inside)
        chosen = variants.get(spec.variant) or variants.get(None)
        if not chosen:
            raise ModelUnavailable(f"The hub holds no safetensors of {spec.title}'s {part}, and other formats can "
                                   "hide programs. Convert it once into a folder of the models directory.")
        names += [f"{part}/{name}" for name in chosen]
    return [files[name] for name in sorted(names)]


class _Download:
    """One run through the missing files."""

    def __init__(self, spec: ModelSpec, place: Hub, files: list[RepoFile], on_progress: OnProgress) -> None:
        self._spec, self._place, self._files, self._on_progress = spec, place, files, on_progress
        self._repo_id, self._revision = spec.pinned
        self._blobs = place.repository(spec) / "blobs"
        self._total = sum(file.size for file in files)
        self._finished = 0
        self._next_report = 0.0

    def run(self) -> None:
        self._blobs.mkdir(parents=True, exist_ok=True)
        missing = sum(file.size - self._have(file) for file in self._files)
        free = shutil.disk_usage(self._blobs).free
        if free < missing + SPARE_BYTES:
            raise DiskFull(f"{self._spec.title} needs {missing / 1e9:.1f} GB more, and the disk of "
                           f"{self._place.cache} has {free / 1e9:.1f} GB free. Make room, or set HF_HOME to a "
                           "folder on a larger disk.")
        for file in self._files:
            if file.lfs is not None:
                self._blob(file, file.lfs.sha256)
            # the blob exists now, so this call only links it into the snapshot; it fetches small files itself
            hf_hub_download(self._repo_id, file.path, revision=self._revision,
                            cache_dir=self._place.cache, endpoint=self._place.endpoint, tqdm_class=_NoBar)
            self._finished += file.size
            self._report(0, now=True)

    def _have(self, file: RepoFile) -> int:
        name = file.lfs.sha256 if file.lfs else file.blob_id
        for path in (self._blobs / name, self._blobs / f"{name}.incomplete"):
            if path.is_file():
                return min(path.stat().st_size, file.size)
        return 0

    def _report(self, of_this_file: int, now: bool = False) -> None:
        if now or time.monotonic() >= self._next_report:
            self._next_report = time.monotonic() + REPORT_INTERVAL_S
            self._on_progress(Progress("downloading", self._finished + of_this_file, self._total))

    def _blob(self, file: RepoFile, sha256: str) -> None:
        blob = self._blobs / sha256
        partial = blob.with_name(blob.name + ".incomplete")
        with self._alone(blob.name):
            if blob.exists():
                return
            failures, have = 0, self._length(partial)
            while have != file.size:
                broken, before = None, have
                try:
                    self._stream(file, partial)
                except (httpx2.TransportError, httpx2.StreamError) as error:
                    broken = error
                have = self._length(partial)
                failures = 0 if have > before else failures + 1
                if failures >= ATTEMPTS:
                    raise broken or ModelUnavailable(f"The hub sends nothing of {file.path} of {self._spec.title}. "
                                                     "Try again later; the downloaded part stays.")
                self._report(have, now=True)  # a cancel is noticed here, too
                if have != file.size:
                    time.sleep(self._place.retry_wait_s)
            self._accept(file, sha256, partial, blob)

    def _length(self, path: Path) -> int:
        return path.stat().st_size if path.exists() else 0

    def _stream(self, file: RepoFile, partial: Path) -> None:
        """Append the missing bytes of a file to `partial`. Start again if the server does not continue it."""
        have = self._length(partial)
        if have > file.size:
            have = 0
        headers = {**_headers(), "Range": f"bytes={have}-"}
        url = hf_hub_url(self._repo_id, file.path, revision=self._revision, endpoint=self._place.endpoint)
        with get_session().stream("GET", url, headers=headers, timeout=TIMEOUT_S) as response:
            hf_raise_for_status(response)
            continued = response.status_code == 206 and have > 0
            count = have if continued else 0
            with partial.open("ab" if continued else "wb") as out:
                for chunk in response.iter_raw():
                    count += len(chunk)
                    if count > file.size:
                        partial.unlink()
                        raise ModelUnavailable(f"The hub sends more of {file.path} of {self._spec.title} than the "
                                               f"{file.size:,} bytes it lists. The data was removed; try again later.")
                    out.write(chunk)
                    self._report(count)
                out.flush()
                os.fsync(out.fileno())

    def _accept(self, file: RepoFile, sha256: str, partial: Path, blob: Path) -> None:
        digest = hashlib.sha256()
        with partial.open("rb") as read:
            for block in iter(lambda: read.read(1 << 20), b""):
                digest.update(block)
                self._report(file.size)
        if digest.hexdigest() != sha256:
            partial.unlink()
            raise ModelUnavailable(f"{file.path} of {self._spec.title} arrived damaged and was removed. Try again; if "
                                   "it happens again, something on the way from the hub changes the data.")
        partial.replace(blob)

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """Hold the cache's lock of a blob, so that no other process writes the same partial file."""
        lock_file = self._place.cache / ".locks" / self._blobs.parent.name / f"{name}.lock"
        lock_file.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(lock_file)
        while not lock.is_locked:
            try:
                lock.acquire(timeout=0.2)
            except filelock.Timeout:
                self._report(0, now=True)
        try:
            yield
        finally:
            lock.release()


class _NoBar:
    """A progress bar that draws nothing. It replaces tqdm in `hf_hub_download`, whose files are small here."""

    def __init__(self, *_: object, **__: object) -> None:
        """Accept the arguments of tqdm."""

    def __enter__(self) -> "_NoBar":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing was drawn."""

    def update(self, _: float = 1) -> None:
        """Nothing to draw."""

    def close(self) -> None:
        """Nothing was drawn."""


def _headers() -> dict[str, str]:
    # identity: byte ranges of a compressed answer would not be byte ranges of the file
    return {**build_hf_headers(), "Accept-Encoding": "identity"}


@contextmanager
def _spoken(spec: ModelSpec) -> Iterator[None]:
    """Turn a network error into a sentence: the problem, and what to do."""
    try:
        yield
    except GatedRepoError as error:
        raise ModelUnavailable(f"The hub gives {spec.repo_id} only to people it knows. Accept its terms on the "
                               "hub's page, sign in with `hf auth login`, and try again.") from error
    except RevisionNotFoundError as error:
        raise ModelUnavailable(f"The hub no longer has the version {spec.pinned[1][:12]} of {spec.repo_id} that "
                               "this studio knows. Update the studio.") from error
    except HfHubHTTPError as error:
        raise ModelUnavailable(f"The hub refused {spec.repo_id} (HTTP {error.response.status_code}). Try again "
                               "later; the downloaded part stays.") from error
    except OfflineModeIsEnabled as error:
        raise ModelUnavailable(f"{spec.title} is not on this machine, and HF_HUB_OFFLINE forbids asking the hub. "
                               "Unset it once so that the model can be fetched.") from error
    except (httpx2.HTTPError, httpx2.StreamError, LocalEntryNotFoundError, ConnectionError, ValueError) as error:
        raise ModelUnavailable(f"The hub could not be reached for {spec.title} ({type(error).__name__}). Check "
                               "the connection and try again; the downloaded part stays.") from error
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise ModelUnavailable(f"{spec.title} could not be written to the hub's cache ({error}). Check the "
                                   "folder and its permissions, or set HF_HOME to another one.") from error
        raise DiskFull(f"The disk filled up while {spec.title} was fetched. Make room and try again; the "
                       "downloaded part stays.") from error
