"""A third kind of work, defined only here: it goes the full line, and no other module knows it.

It makes the poster of a video again, from its MP4. That is small, but differs from both kinds that ship.
It has no recipe and no model, its task names a video, and its result is not a file of the job.
"""

import io
from dataclasses import dataclass, replace
from typing import ClassVar

import drawn
import pytest
from drawn import until
from PIL import Image
from samples import mp4, video
from screens import at_button, page, press, said

from core.cli.console import follow
from core.domain.documents import read
from core.domain.progress import Progress
from core.domain.request import VideoRequest
from core.domain.video import is_id
from core.errors import BadRequest, ClipError, DiskFull, NotFound
from core.jobs.dispatch.dispatcher import Dispatcher
from core.jobs.executors.inline import InlineExecutor
from core.jobs.executors.process import ProcessExecutor
from core.jobs.kinds.audition import Audition
from core.jobs.kinds.generate import Generate
from core.jobs.kinds.kind import Kind, Rendered, Words
from core.jobs.kinds.registry import KINDS, read_task
from core.jobs.kinds.unknown import Unknown
from core.jobs.queue.ledger import Ledger
from core.jobs.worker.host import WorkerHost
from core.jobs.worker.renderer import Renderer
from core.library.atomic_files import write_file
from core.library.library import Library
from core.library.media import clip, posters
from core.library.search.query import Query
from core.library.storage.video_files import POSTER
from core.studio import open_studio
from pages.parts import formatting

ID, OTHER = "20261122-000001-abcdef", "20261122-000002-abcdef"


@dataclass(frozen=True)
class Poster:
    """The poster of a video, to be made again."""

    video_id: str
    kind: ClassVar[str] = "poster"
    model: ClassVar[str] = ""
    recipe: ClassVar[None] = None
    origin: ClassVar[None] = None

    @property
    def parent(self):
        return self.video_id

    @property
    def title(self):
        return f"The poster of {self.video_id}"

    def document(self):
        return {"kind": self.kind, "video_id": self.video_id}


class PosterWords(Words[Poster]):
    writing = "Writing the poster"

    def label(self, task):
        return "A *new* poster"

    def icon(self, task):
        return "image"

    def made_of(self, task):
        return "one frame"

    def canvas(self, task):
        return 32, 32

    def step(self, task, done, total):
        return f"Frame {done} of {total}"

    def picture(self, task, job_id):
        return f"poster/{task.video_id}"

    def opens(self, task, job_id):
        return "video", task.video_id


class PosterKind(Kind[str, Poster]):
    key = Poster.kind
    words = PosterWords()

    def read(self, document):
        return read(Poster, document)

    def check(self, asked, checks):
        if not is_id(asked):
            raise BadRequest("video", f"{asked!r} is not the id of a video.")
        return Poster(checks.video(asked).id)

    def asked(self, task):
        return task.video_id

    def run(self, task, head, tools):
        frames = clip.read(tools.mp4_path(task.video_id)).frames
        for number in range(1, len(frames) + 1):
            tools.on_progress(Progress("denoising", number, len(frames)))
        tools.on_progress(Progress("encoding"))
        return Rendered(task.document(), posters.poster(frames), ("It is the frame with the most detail.",))

    def keep(self, job, outcome, stores):
        if read_task(outcome.document) != job.task or not outcome.file.startswith(b"RIFF"):
            raise ClipError("The worker made another poster than the one that was asked for.")
        mp4_path = stores.library.mp4_path(job.task.video_id)
        write_file(mp4_path.with_name(job.task.video_id + POSTER), outcome.file)
        return outcome.reason

    def is_kept(self, job, stores):
        return False  # one that a crash cut short is made again


@pytest.fixture
def kind(monkeypatch):
    monkeypatch.setitem(KINDS, PosterKind.key, PosterKind())


@pytest.fixture
def works(studio, kind):
    """A dispatcher beside the studio of the pages, turned by hand, and two videos in the library it writes."""
    folder = studio.settings.data_dir
    library = Library(folder, writable=True)
    library.publish(video("a red ball", id=ID), mp4()[0])
    executor = InlineExecutor(
        lambda on_news: WorkerHost(lambda: Renderer(drawn.DrawnEngine(folder), folder), on_news))
    dispatcher = Dispatcher(studio.ledger, library, executor, studio.settings)

    def finished(job):
        until(lambda: dispatcher.tick() and studio.job(job.id).has_ended)
        return studio.job(job.id)

    yield finished
    dispatcher.close()
    library.close()


def ask(studio, video_id=ID, owner=""):
    return studio.accept(Poster.kind, video_id, owner)


def test_it_goes_the_line_and_its_file_is_kept(studio, works):
    path = studio.library.poster_path(ID)
    before = path.read_bytes()
    path.unlink()
    job = ask(studio, owner="ada")
    assert (job.kind, job.task, job.owner, job.state, job.position) == ("poster", Poster(ID), "ada", "queued", 1)
    done = works(job)
    assert (done.state, done.reason, done.attempt) == ("done", "It is the frame with the most detail.", 1)
    assert studio.library.poster_path(ID) == path and path.read_bytes() == before
    assert Image.open(io.BytesIO(before)).size == (32, 32)
    assert studio.jobs() == (done,) and studio.search(Query()).total == 1
    with pytest.raises(NotFound):
        studio.video(job.id)  # it made no video


@pytest.mark.parametrize(("asked", "error"), [("20200101-000000-abcdef", NotFound), ("../../etc/passwd", BadRequest)])
def test_its_refusals_leave_nothing_behind(studio, works, asked, error):
    with pytest.raises(error):
        ask(studio, asked)
    assert studio.jobs() == ()


def test_a_disk_that_is_nearly_full_refuses_work_of_every_kind(studio, works):
    with open_studio(replace(studio.settings, min_free_mb=10**9), "visit") as short:
        for asked in (lambda: ask(short), lambda: short.submit(VideoRequest("a red ball"))):
            with pytest.raises(DiskFull, match="must stay free"):
                asked()
    assert studio.jobs() == ()


def test_a_waiting_one_is_paused_resumed_and_cancelled(studio, works):
    job, after = ask(studio), ask(studio)
    assert studio.pause(job.id).state == "paused" and studio.job(after.id).position == 1
    assert studio.resume(job.id).position == 1
    assert studio.cancel(job.id).reason == "Cancelled before it began."
    assert works(after).state == "done" and studio.job(job.id).attempt == 0


def test_one_that_failed_is_tried_again_with_the_same_task(studio, works):
    path = studio.library.mp4_path(ID)
    whole = path.read_bytes()
    job = ask(studio)
    path.write_bytes(whole[:100] + bytes(len(whole) - 100))
    failed = works(job)
    assert (failed.state, failed.error) == ("failed", "ClipError") and failed.reason
    path.write_bytes(whole)
    again = studio.retry(job.id)
    assert (again.task, again.id != job.id) == (job.task, True)
    assert works(again).state == "done"


def test_one_whose_video_is_gone_fails_with_a_sentence_and_is_not_accepted_again(studio, works):
    job = ask(studio)
    studio.library.mp4_path(ID).rename(studio.settings.data_dir / "elsewhere.mp4")
    failed = works(job)
    assert failed.state == "failed" and ID in failed.reason
    with pytest.raises(Exception, match=ID):
        studio.retry(job.id)
    assert len(studio.jobs()) == 1


def test_a_worker_that_made_another_is_not_believed(studio, works, monkeypatch):
    class Mistaken(PosterKind):
        def run(self, task, head, tools):
            return Rendered(Poster(OTHER).document(), b"RIFF")

    monkeypatch.setitem(KINDS, Poster.kind, Mistaken())
    failed = works(ask(studio))
    assert (failed.state, failed.error) == ("failed", "ClipError") and "another poster" in failed.reason


def test_it_survives_reopening_the_ledger(studio, works):
    job = ask(studio)
    reopened = Ledger(studio.settings.data_dir / "jobs.sqlite")
    assert reopened.list() == (job,) and reopened.get(job.id).task == Poster(ID)
    reopened.close()
    assert works(job).state == "done"


def test_it_waits_its_turn_among_the_kinds_that_ship(studio, works):
    tasks = (Generate(drawn.RECIPE), Poster(ID), Audition(drawn.RECIPE, (7, 8), 2), Poster(ID))
    ended = [works(job) for job in [studio.ledger.add(task) for task in tasks]]
    assert [(job.state, job.task.kind) for job in ended] == [
        ("done", "generate"), ("done", "poster"), ("done", "audition"), ("done", "poster")]
    assert sorted(ended, key=lambda job: job.started) == ended


# In words


def test_its_words_are_said(studio, works, capsys):
    job = ask(studio)
    assert formatting.phase(job) == "Next in line"
    assert formatting.made_of(job) == "one frame"
    running = studio.ledger.claim("test")
    assert formatting.phase(running) == "Starting"  # there is no model to be loaded
    for progress, words in ((Progress("denoising", 3, 8), "Frame 3 of 8"),
                            (Progress("encoding"), "Writing the poster")):
        studio.ledger.progress(job.id, 1, progress)
        assert formatting.phase(studio.job(job.id)) == words
    assert formatting.remaining(studio.job(job.id)) is None and 0 < formatting.fraction(studio.job(job.id)) < 1
    studio.ledger.requeue(job.id, 1, "", counts=False)
    done = works(job)
    assert follow(studio, done) == done and "publishing" in capsys.readouterr().err


def test_the_queue_draws_it_while_it_waits_and_runs(studio, works):
    job = ask(studio)
    at = page("queue")
    everything = said(at)
    assert f"The poster of {ID}" in everything and "one frame" in everything and "**Waiting** (1)" in everything
    assert ":material/image: A \\*new\\* poster" in everything, "its words are no Markdown"
    studio.ledger.claim("test")
    studio.ledger.progress(job.id, 1, Progress("denoising", 3, 8), preview=1)
    for name in ("queue", "", "gallery"):
        at = page(name)
        assert at.get("progress")[0].text.startswith("Frame 3 of 8") and at_button(at, f"pause_{job.id}")
    press(at, f"cancel_{job.id}")
    assert studio.job(job.id).cancel_requested


def test_the_queue_draws_it_once_it_is_done_and_leads_to_the_video(studio, works):
    job = works(ask(studio))
    at = page("queue")
    everything = said(at)
    assert "Done" in everything and "one frame" in everything and "It is the frame with the most detail" in everything
    (line,) = [each.value for each in at.caption if "Done" in each.value]
    assert " ·  · " not in line and not line.endswith(" · ")
    assert pictures(at) == [f"/app/static/poster/{ID}.webp"]
    assert not at_button(at, f"compare_job_{job.id}")  # it is no other video than the one it was made of
    press(at, f"open_job_{job.id}")
    for at in (page(), page(job=job.id)):
        assert "a red ball" in said(at)


def pictures(at):
    """Every picture on the page, by its address."""
    return [each.url for image in at.get("image") for each in image.proto.imgs]


def test_the_queue_draws_it_once_it_failed_and_retry_asks_for_it_again(studio, works, monkeypatch):
    class Roomless(PosterKind):
        def keep(self, job, outcome, stores):
            raise DiskFull("There is no room left.")

    monkeypatch.setitem(KINDS, Poster.kind, Roomless())
    job = works(ask(studio))
    for name in ("queue", ""):
        assert "There is no room left" in said(page(name)) and "Failed" in said(page(name))
    press(page("queue"), f"retry_{job.id}")
    assert [again.task for again in studio.jobs(("queued",))] == [Poster(ID)]


def test_one_of_a_video_from_outside_is_drawn_too(studio, works):
    path = studio.settings.data_dir / "holiday.mp4"
    path.write_bytes(mp4(6)[0])
    library = Library(studio.settings.data_dir, writable=True)
    outside = library.import_mp4(path, "holiday.mp4", unknown=True).video
    library.close()
    job = works(ask(studio, outside.id))
    assert job.state == "done", job.reason
    for at in (page("queue"), page(), page(job=job.id)):
        assert not at.error, at.error
    assert "holiday.mp4" in said(page(job=job.id))


# Where it is not known


def test_in_a_worker_that_does_not_know_it_it_fails_and_the_next_job_runs(studio, works):
    settings = studio.settings
    executor = ProcessExecutor(settings, drawn.command())  # a separate process: nothing was added to its kinds
    library = Library(settings.data_dir, writable=True)
    dispatcher = Dispatcher(studio.ledger, library, executor, settings)
    try:
        job, after = ask(studio), studio.ledger.add(drawn.TASK)
        until(lambda: dispatcher.tick() and studio.job(after.id).has_ended)
        assert (studio.job(job.id).state, studio.job(after.id).state) == ("failed", "done")
        assert "is not a task of this studio" in studio.job(job.id).reason
    finally:
        dispatcher.close()
        library.close()


def test_a_studio_that_does_not_know_it_shows_it_and_accepts_no_more_of_it(studio, works, monkeypatch):
    job = ask(studio)
    monkeypatch.delitem(KINDS, PosterKind.key)
    found = studio.job(job.id)
    assert isinstance(found.task, Unknown) and found.task.document() == Poster(ID).document()
    for name in ("queue", "", "gallery"):
        assert "A job of another version" in said(page(name))
    failed = works(job)
    assert (failed.state, failed.error) == ("failed", "BadRequest")
    for name in ("queue", ""):
        assert "cannot be read" in said(page(name))
    with pytest.raises(BadRequest, match="does not know"):
        studio.retry(job.id)
    monkeypatch.setitem(KINDS, PosterKind.key, PosterKind())
    assert works(studio.retry(job.id)).state == "done"
