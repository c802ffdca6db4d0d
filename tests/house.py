"""A ledger, a library, a worker and a dispatcher on one folder, for the tests that turn the queue by hand."""

from dataclasses import replace

import drawn
from drawn import until

from core.jobs.dispatch.dispatcher import Dispatcher
from core.jobs.executors.inline import InlineExecutor
from core.jobs.queue.ledger import Ledger
from core.jobs.worker.host import WorkerHost
from core.jobs.worker.renderer import Renderer
from core.library.library import Library
from core.settings import Settings

RECIPE = drawn.RECIPE


def settings_for(data_dir, models_dir=None, **changes):
    return replace(Settings.from_env({}, data_dir=data_dir, models_dir=models_dir or data_dir / "models",
                                     model="tiny", device="cpu", preload=False), **changes)


class House:
    """A ledger, a library, an executor and a dispatcher on one folder, turned by hand or by its thread."""

    def __init__(self, folder, settings=None, executor=None, **options):
        self.folder = folder
        self.settings = settings or settings_for(folder)
        self.ledger = Ledger(folder / "jobs.sqlite")
        self.library = Library(folder, writable=True)
        self.executor = executor or InlineExecutor(
            lambda on_news: WorkerHost(lambda: Renderer(drawn.DrawnEngine(folder)), on_news))
        self.dispatcher = Dispatcher(self.ledger, self.library, self.executor, self.settings, **options)

    def add(self, prompt="a drawing", **changes):
        about = {name: changes.pop(name) for name in ("parent", "relation") if name in changes}
        owner = changes.pop("owner", "")
        return self.ledger.add(drawn.video_of(replace(RECIPE, prompt=prompt, **changes), **about), owner)

    def turn(self, condition, seconds=60.0):
        def tick_and_look():
            self.dispatcher.tick()
            return condition()
        return until(tick_and_look, seconds)

    def finish(self, job, seconds=60.0):
        return self.turn(lambda: (now := self.ledger.get(job.id)).has_ended and now, seconds)

    def await_progress(self, job, done=1, seconds=60.0):
        def far_enough():
            now = self.ledger.get(job.id)
            return now.phase == "denoising" and now.done >= done and now
        return self.turn(far_enough, seconds)

    def close(self):
        self.dispatcher.close()
        self.library.close()
        self.ledger.close()
