"""Seed audition: several seeds in few steps, one moving sheet, and a video finished with the noise of its tile."""

import io
import json
from dataclasses import dataclass, replace

import drawn
import numpy as np
import pytest
from drawn import until
from house import House
from PIL import Image

from core.domain.recipe import SEED_BITS, Recipe, resolve
from core.domain.request import VideoRequest
from core.domain.video import new_id
from core.errors import BadRequest, ClipError, NotFound
from core.families.catalog import catalog
from core.jobs.kinds.audition import AskedAudition, Audition, AuditionKind, short_steps, try_seeds
from core.jobs.kinds.generate import Generate
from core.jobs.kinds.kind import Stores, Tools
from core.jobs.kinds.registry import read_task
from core.jobs.protocol import Outcome
from core.jobs.queue.job import DONE
from core.library.media.contact_sheet import GAP, TILE, columns, contact_sheet, tile
from core.library.storage.contact_sheets import ContactSheets
from core.settings import Settings
from core.studio import open_studio

RECIPE = drawn.RECIPE
TINY = VideoRequest("a red ball", "", "tiny", 4, 9, 5.0, 8, 7, 32, 32, "dpmsolver++", "exact")


def pictures(sheet: bytes) -> list[np.ndarray]:
    image = Image.open(io.BytesIO(sheet))
    frames = []
    for number in range(image.n_frames):
        image.seek(number)
        frames.append(np.asarray(image.convert("RGB")))
    return frames


def audition_of(recipe, seeds, steps=None):
    """The audition that is accepted for an accepted recipe."""
    return AuditionKind().check(AskedAudition(recipe.request(), seeds, steps), Accepted(recipe))


@dataclass(frozen=True)
class Accepted:
    """The answer of a studio that has accepted the recipe."""

    known: Recipe

    def recipe(self, request):
        assert request == self.known.request()
        return self.known


def add(home, seeds=4, steps=2, **changes):
    return home.ledger.add(audition_of(replace(RECIPE, **changes), seeds, steps))


def steps_made(home, seed):
    path = home.folder / f"steps of {seed}"
    return path.read_text().split() if path.exists() else []


# The request


def test_an_audition_tries_the_seed_of_the_request_and_those_after_it_in_a_third_of_the_steps():
    recipe = replace(RECIPE, seed=2**SEED_BITS - 2, num_inference_steps=20)
    task = audition_of(recipe, 4)
    assert task == Audition(recipe, (2**SEED_BITS - 2, 2**SEED_BITS - 1, 0, 1), 7)
    assert [short_steps(steps) for steps in (1, 4, 9, 20, 25, 100)] == [1, 4, 4, 7, 9, 34]
    assert read_task(json.loads(json.dumps(task.document()))) == task


@pytest.mark.parametrize(("seeds", "steps", "field"), [
    (1, None, "seeds"), (10, None, "seeds"), ("6", None, "seeds"), (True, None, "seeds"),
    (4, 0, "audition_steps"), (4, 4, "audition_steps"), (4, "2", "audition_steps")])
def test_a_number_of_seeds_or_steps_that_makes_no_sense_is_refused(seeds, steps, field):
    with pytest.raises(BadRequest) as refused:
        audition_of(RECIPE, seeds, steps)  # the recipe has 3 steps
    assert refused.value.field == field


# The sheet


def test_a_sheet_shows_every_tile_in_its_place_moving_at_the_speed_of_the_video():
    clips = [np.full((3, 40, 60, 3), shade, np.uint8) for shade in (40, 120, 200, 250)]
    for number, clip in enumerate(clips):
        clip[1] = 255 - 40 * number
    sheet = contact_sheet([tile(clip) for clip in clips], 8)
    frames = pictures(sheet)
    high = TILE * 40 // 60
    assert len(frames) == 3 and frames[0].shape == (2 * high + GAP, 2 * TILE + GAP, 3)
    image = Image.open(io.BytesIO(sheet))
    image.load()
    assert image.info["duration"] == 125
    for number, (x, y) in enumerate([(0, 0), (1, 0), (0, 1), (1, 1)]):
        middle = y * (high + GAP) + high // 2, x * (TILE + GAP) + TILE // 2
        for frame in range(2):
            assert abs(int(frames[frame][middle][0]) - int(clips[number][frame, 20, 30, 0])) <= 6


def test_sheets_are_as_square_as_they_can_be_and_a_missing_tile_stays_empty():
    assert [columns(count) for count in (2, 4, 6, 9)] == [2, 2, 3, 3]
    white = tile(np.full((1, 8, 8, 3), 255, np.uint8))
    frame = pictures(contact_sheet([white, None], 8))[0]
    assert frame[TILE // 2, TILE // 2].min() > 240 and frame[TILE // 2, TILE + GAP + TILE // 2].max() < 200


def test_only_the_newest_sheets_are_kept_and_nothing_half_written(tmp_path):
    sheets = ContactSheets(tmp_path, kept=2)
    ids = [f"2026112{day}-081301-a1b2c3" for day in range(1, 5)]
    (tmp_path / "auditions").mkdir()
    (tmp_path / "auditions" / f"{ids[0]}.webp.part").write_bytes(b"RI")
    for job_id in ids:
        sheets.keep(job_id, b"RIFF " + job_id.encode())
    assert sorted(path.name for path in (tmp_path / "auditions").iterdir()) == [f"{i}.webp" for i in ids[2:]]
    assert sheets.path(ids[3]).read_bytes().endswith(ids[3].encode())
    for gone in (ids[0], "../jobs", new_id()):
        with pytest.raises(NotFound):
            sheets.path(gone)


# The line


def test_an_audition_becomes_a_sheet_and_not_a_video(house):
    job = house.finish(add(house))
    assert (job.state, job.reason, job.attempt) == ("done", "", 1)
    assert job.task.seeds == (7, 8, 9, 10) and len(set(job.task.noise_sha256)) == 4
    assert len(pictures(ContactSheets(house.folder).path(job.id).read_bytes())) == RECIPE.num_frames
    assert [steps_made(house, seed) for seed in job.task.seeds] == [["1", "2"]] * 4
    with pytest.raises(NotFound):
        house.library.get(job.id)
    assert not list((house.folder / "library").rglob("*.mp4"))
    assert house.ledger.list()[0] == house.ledger.get(job.id)


def test_an_audition_says_how_far_it_is_over_all_its_seeds(house):
    job = add(house, 4, 30, prompt="slowly", num_inference_steps=30)
    now = house.await_progress(job, 31)
    assert now.total == 120 and 31 <= now.done < 120
    seen = house.turn(lambda: (found := house.ledger.get(job.id)).preview and found)
    sheet = (house.folder / "previews" / f"{job.id}.webp").read_bytes()
    assert seen.preview and len(pictures(sheet)) == RECIPE.num_frames
    house.ledger.request_cancel(job.id)
    assert house.finish(job).state == "cancelled"
    assert not (house.folder / "previews" / f"{job.id}.webp").exists()
    with pytest.raises(NotFound):
        ContactSheets(house.folder).path(job.id)


def test_a_paused_audition_resumes_at_its_next_step_and_makes_none_twice(house):
    job = add(house, 3, 10, prompt="slowly", num_inference_steps=10)
    house.await_progress(job, 13)
    house.ledger.request_pause(job.id)
    paused = house.turn(lambda: (now := house.ledger.get(job.id)).state == "paused" and now)
    assert 10 < paused.done < 30
    house.ledger.resume(job.id)
    ended = house.finish(job)
    assert ended.state == "done"
    assert [len(steps_made(house, seed)) for seed in (7, 8, 9)] == [10, 10, 10]
    other = house.finish(add(house, 3, 10, prompt="slowly", num_inference_steps=10))
    assert other.task == ended.task and all(ended.task.noise_sha256)
    sheets = [ContactSheets(house.folder).path(one.id).read_bytes() for one in (ended, other)]
    assert sheets[0] == sheets[1]


def test_an_audition_whose_worker_dies_is_run_again_and_the_second_time_set_aside(process_house):
    job = process_house.finish(add(process_house, prompt="die"), 60)
    assert (job.state, job.attempt) == ("interrupted", 2)
    assert process_house.finish(process_house.add(), 60).state == "done"


def test_an_audition_that_a_crash_left_half_done_is_run_again_after_a_restart(tmp_path):
    first = House(tmp_path)
    job = add(first)
    claimed = first.ledger.claim("inline")
    first.ledger.move(job.id, claimed.attempt, ("running",), "committing")
    ContactSheets(tmp_path).keep(job.id, b"RIFF, but the ledger does not know of it")
    first.close()
    again = House(tmp_path)
    ended = again.finish(job)
    assert (ended.state, ended.attempt) == (DONE, 2) and len(ended.task.noise_sha256) == 4
    assert pictures(ContactSheets(tmp_path).path(job.id).read_bytes())
    again.close()


def test_seeds_that_become_no_picture_leave_an_empty_place_and_a_note(tmp_path):
    class Sometimes(drawn.DrawnEngine):
        def _misbehave(self, prompt):
            if "all black" in prompt or "black" in prompt and self.seed % 2:
                super()._misbehave("black")

        def generate(self, recipe, *rest):
            self.seed = recipe.seed
            return super().generate(recipe, *rest)

    from core.jobs.executors.inline import InlineExecutor
    from core.jobs.worker.host import WorkerHost
    from core.jobs.worker.renderer import Renderer

    home = House(tmp_path, executor=InlineExecutor(
        lambda on_news: WorkerHost(lambda: Renderer(Sometimes(tmp_path)), on_news)))
    job = home.finish(add(home, prompt="sometimes black"))
    assert job.state == "done" and job.reason == "After 2 steps there is no picture yet of seed 7, 9."
    assert [bool(noise) for noise in job.task.noise_sha256] == [False, True, False, True]
    failed = home.finish(add(home, prompt="all black"))
    assert (failed.state, failed.error) == ("failed", "InvalidFrames")
    home.close()


def test_a_worker_that_tried_other_seeds_is_not_believed(house):
    job = add(house)
    stores = Stores(house.library, house.folder, house.ledger.note)
    for wrong in (replace(job.task, seeds=(1, 2, 3, 4)), replace(job.task, num_inference_steps=1),
                  replace(job.task, recipe=replace(RECIPE, prompt="another"))):
        with pytest.raises(ClipError, match="other seeds"):
            AuditionKind().keep(job, Outcome("done", document=wrong.document(), file=b"RIFF"), stores)
    with pytest.raises(ClipError):
        AuditionKind().keep(job, Outcome("done", document=job.task.document()), stores)  # without a sheet
    assert not (house.folder / "auditions").exists()


def test_a_retried_audition_tries_the_same_seeds(house):
    job = add(house)
    house.ledger.request_cancel(job.id)
    again = house.ledger.retry(job.id)
    assert (again.kind, again.task) == ("audition", job.task)


# The promise


@pytest.fixture(scope="module")
def studio(tmp_path_factory, models_dir):
    """The real engine on the tiny model, in a worker process."""
    settings = Settings.from_env({}, data_dir=tmp_path_factory.mktemp("data"), models_dir=models_dir,
                                 model="tiny", device="cpu", min_free_mb=0)
    with open_studio(settings) as opened:
        yield opened


def ended(studio, job):
    until(lambda: studio.job(job.id).has_ended, 120)
    return studio.job(job.id)


def test_a_finished_seed_has_the_noise_of_its_tile_and_the_frames_of_a_video_made_directly(studio):
    tried = ended(studio, studio.audition(TINY, seeds=4))
    assert tried.state == "done", tried.reason
    assert tried.task.num_inference_steps == 4
    finished = ended(studio, studio.finish(tried.id, 9))
    direct = ended(studio, studio.submit(replace(TINY, seed=9)))
    assert finished.task == direct.task == Generate(resolve(replace(TINY, seed=9), studio.models()))
    receipts = [studio.video(job.id).receipt for job in (finished, direct)]
    assert receipts[0].noise_sha256 == tried.task.noise_sha256[2] == receipts[1].noise_sha256
    assert receipts[0].frames_sha256 == receipts[1].frames_sha256
    assert len(set(tried.task.noise_sha256)) == 4


def tools(engine, on_progress=lambda progress: None, checkpoint=b"", on_checkpoint=lambda step, make: None):
    return Tools(engine, on_progress, on_checkpoint, checkpoint)


@pytest.mark.parametrize("mode", ["exact", "fast"])
def test_an_audition_left_after_any_step_and_gone_on_makes_the_same_tiles(models_dir, mode):
    from core.diffusion.engine import Engine
    from core.errors import Paused

    engine = Engine(Settings.from_env({}, models_dir=models_dir, device="cpu"))
    recipe = resolve(replace(TINY, mode=mode, num_frames=2), catalog(models_dir))
    task = audition_of(recipe, 2, 3)
    calm, sheet, _ = try_seeds(task, tools(engine))
    kept, paused = b"", 0
    for stop in range(1, 6):  # paused again and again, each time a step later
        def pause(step, make, stop=stop):
            nonlocal kept
            kept = make()
            if step >= stop:
                raise Paused

        steps = []
        try:
            try_seeds(task, tools(engine, lambda now, steps=steps: steps.append(now.done), kept, pause))
        except Paused:
            paused += 1
        assert len([done for done in steps if done]) <= 3  # the steps made before are not made again
    assert paused == (5 if mode == "exact" else 4)  # a fast one can stop only before a full step
    tiles, again, _ = try_seeds(task, tools(engine, checkpoint=kept))
    assert again == sheet and tiles.noise_sha256 == calm.noise_sha256
    assert all(np.array_equal(*pair) for pair in zip(tiles.clips, calm.clips, strict=True))


def test_a_deleted_audition_is_gone_with_its_sheet_and_its_video_stays(studio):
    tried = ended(studio, studio.audition(TINY, seeds=2))
    made = ended(studio, studio.finish(tried.id, 8))
    running = studio.audition(replace(TINY, num_inference_steps=60), seeds=9)
    for job_id in (made.id, running.id, new_id()):
        with pytest.raises(NotFound, match="no audition that has ended"):
            studio.forget_audition(job_id)
    studio.cancel(running.id)
    path = studio.contact_sheet_path(tried.id)
    studio.forget_audition(tried.id)
    assert not path.exists() and studio.video(made.id).recipe.seed == 8
    for gone in (studio.job, studio.contact_sheet_path, studio.forget_audition):
        with pytest.raises(NotFound):
            gone(tried.id)


def test_only_a_seed_that_was_tried_can_be_finished(studio):
    tried = ended(studio, studio.audition(TINY, seeds=2))
    for job_id, seed in ((tried.id, 99), (ended(studio, studio.submit(TINY)).id, 7)):
        with pytest.raises(BadRequest, match="was not tried"):
            studio.finish(job_id, seed)


def test_a_refused_audition_leaves_nothing_behind(studio):
    before = studio.jobs()
    for request, seeds in ((replace(TINY, num_frames=0), 4), (TINY, 1)):
        with pytest.raises(BadRequest):
            studio.audition(request, seeds)
    assert studio.jobs() == before


def test_tiles_of_other_weights_are_not_used(tmp_path):
    """The checkpoint holds everything that decides the tiles: another model of the same name begins again."""
    from core.errors import Paused

    engine, kept, task = drawn.DrawnEngine(tmp_path), [], audition_of(RECIPE, 3, 2)

    class Reweighted(drawn.DrawnEngine):
        @property
        def warm(self):
            return replace(super().warm, weights_sha256="1" * 64) if super().warm else None

    def pause_at_five(step, make):
        if step == 5:
            kept.append(make())
            raise Paused

    with pytest.raises(Paused):
        try_seeds(task, tools(engine, on_checkpoint=pause_at_five))
    for which, wanted, first in ((engine, task, 6), (engine, audition_of(replace(RECIPE, prompt="another"), 3, 2), 1),
                                 (engine, audition_of(RECIPE, 4, 2), 1), (Reweighted(tmp_path), task, 1)):
        seen: list[int] = []
        try_seeds(wanted, tools(which, lambda progress, seen=seen: seen.append(progress.done), kept[0]))
        assert min(done for done in seen if done) == first
    for damaged in (b"PK", kept[0][:-40], b"nothing"):
        tiles, _, _ = try_seeds(task, tools(engine, checkpoint=damaged))
        assert len(tiles.clips) == 3
