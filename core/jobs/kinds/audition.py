"""A seed audition runs: one short run after another in the warm model, then one contact sheet of them all."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import numpy as np

from core.domain.audition import Audition
from core.domain.progress import OnCheckpoint, OnProgress, Progress
from core.domain.request import VideoRequest
from core.errors import InvalidFrames
from core.jobs.engine_protocol import Model
from core.library.media.contact_sheet import contact_sheet, tile


@dataclass(frozen=True)
class Tiles:
    """What has been made so far: for each seed the hash of its noise and its small frames.

    Attributes:
        noise_sha256: "" where the model made no picture.
        clips: uint8 (F, h, w, 3) each, None where the model made no picture.
    """

    noise_sha256: tuple[str, ...] = ()
    clips: tuple[np.ndarray | None, ...] = ()

    def and_one(self, noise_sha256: str, clip: np.ndarray | None) -> "Tiles":
        """These and one more."""
        return Tiles((*self.noise_sha256, noise_sha256), (*self.clips, clip))


def audition(engine: Model, request: VideoRequest, asked: Audition, on_progress: OnProgress, checkpoint: bytes,
             on_checkpoint: OnCheckpoint) -> tuple[Tiles, bytes, str]:
    """Try every seed; the tiles, the contact sheet (animated WebP), and a sentence for the person or "".

    Args:
        request: resolved; its seed and steps are those of the audition instead.
        on_progress: told the steps of all runs together as "denoising", with a sheet of the tiles there are.
        checkpoint: of an audition that was paused or lost: its tiles, and where the seed it was at can be gone on
            with; not used unless everything is the same.

    Raises:
        InvalidFrames: no seed at all became a picture.
        StudioError, Cancelled, Paused: what the engine and the callbacks raise.
    """
    engine.load(request.model, on_progress)
    origin = _origin(engine, request, asked)
    tiles, inside = _unpack(checkpoint, origin)
    problem = ""
    steps, total = asked.num_inference_steps, len(asked.seeds) * asked.num_inference_steps
    for number in range(len(tiles.clips), len(asked.seeds)):
        one = replace(request, seed=asked.seeds[number], num_inference_steps=steps)
        before, so_far = number * steps, tiles

        def report(progress: Progress, before: int = before) -> None:
            done = {"denoising": progress.done, "decoding": steps}.get(progress.phase, 0)
            on_progress(Progress("denoising", before + done, total))

        def keep(step: int, make: Callable[[], bytes], before: int = before, so_far: Tiles = so_far) -> None:
            on_checkpoint(before + step, lambda: _pack(so_far, origin, make()))

        try:
            made = engine.generate(one, report, inside, keep)
            tiles = tiles.and_one(made.receipt.noise_sha256, tile(made.frames))
        except InvalidFrames as error:
            problem, tiles = str(error), tiles.and_one("", None)
        inside = b""
        on_progress(Progress("denoising", before + steps, total, _so_far(tiles, asked, request.fps)))
    empty = [str(seed) for seed, clip in zip(asked.seeds, tiles.clips, strict=True) if clip is None]
    if len(empty) == len(asked.seeds):
        raise InvalidFrames(problem)
    on_progress(Progress("encoding"))
    sheet = contact_sheet(tiles.clips, request.fps)
    note = f"After {steps} steps there is no picture yet of seed {', '.join(empty)}." if empty else ""
    return tiles, sheet, note


def _so_far(tiles: Tiles, asked: Audition, fps: int) -> bytes | None:
    if all(clip is None for clip in tiles.clips):
        return None
    waiting = (None,) * (len(asked.seeds) - len(tiles.clips))
    return contact_sheet((*tiles.clips, *waiting), fps, method=0)


def _origin(engine: Model, request: VideoRequest, asked: Audition) -> str:
    """What decides the tiles, as a hash: tiles of two origins are never mixed."""
    warm = asdict(engine.warm) if engine.warm else {}
    document = [request.document(), asked.document(), warm, asdict(engine.environment())]
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _pack(tiles: Tiles, origin: str, inside: bytes) -> bytes:
    """Tiles, and the engine's own checkpoint of the seed after them."""
    arrays = {f"clip_{number}": clip for number, clip in enumerate(tiles.clips) if clip is not None}
    out = io.BytesIO()
    np.savez(out, about=json.dumps([origin, tiles.noise_sha256]),
             inside=np.frombuffer(inside, np.uint8), **arrays)
    return out.getvalue()


def _unpack(checkpoint: bytes, origin: str) -> tuple[Tiles, bytes]:
    """What `_pack` packed; nothing where it is damaged, or of anything else than this audition."""
    if not checkpoint:
        return Tiles(), b""
    try:
        with np.load(io.BytesIO(checkpoint), allow_pickle=False) as file:
            found, noise_sha256 = json.loads(str(file["about"]))
            if found != origin:
                return Tiles(), b""
            inside = file["inside"].tobytes()
            clips = tuple(file[f"clip_{number}"] if noise else None for number, noise in enumerate(noise_sha256))
    except (ValueError, KeyError, OSError, zipfile.BadZipFile):
        return Tiles(), b""
    return Tiles(tuple(noise_sha256), clips), inside
