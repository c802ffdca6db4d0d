"""What the tests of the screens share: a page is run without a browser, and its words and buttons are read."""

from pathlib import Path

import samples
from streamlit.testing.v1 import AppTest

from core.domain.progress import Progress
from core.domain.video import Video
from core.jobs.queue.job import Job
from core.studio import Studio

ENTRY = str(Path(__file__).resolve().parent.parent / "streamlit_app.py")
HOSTILE = "**bold** ![x](http://evil.example/x.png) <img src=x onerror=alert(1)> :red[no] $x^2$"


def page(name: str = "", **query: str) -> AppTest:
    at = AppTest.from_file(ENTRY, default_timeout=20)
    at.run()
    if name:
        at.switch_page(f"pages/{name}.py")
    for key, value in query.items():
        at.query_params[key] = value
    return healthy(at.run())


def healthy(at: AppTest) -> AppTest:
    assert not at.exception, at.exception
    return at


def said(at: AppTest) -> str:
    """Every word on the page, as it was sent."""
    kinds = ("text", "caption", "markdown", "code", "error", "warning", "info", "success", "subheader")
    parts = [str(element.value) for kind in kinds for element in at.get(kind)]
    return "\n".join([*parts, *(button.label for button in at.button)])


def press(at: AppTest, key: str) -> AppTest:
    return healthy(at.button(key=key).click().run())


def keep(studio: Studio, prompt: str = "a red ball", **changes: object) -> Video:
    return samples.publish(studio, *samples.with_recipe(samples.video(prompt, **changes)))


def run(studio: Studio, job: Job, *progress: Progress) -> Job:
    """Take a job as the dispatcher does, and report its progress."""
    claimed = studio.ledger.claim("test")
    assert claimed is not None and claimed.id == job.id
    for number, step in enumerate(progress, start=1):
        studio.ledger.progress(job.id, claimed.attempt, step, number)
    return studio.job(job.id)


def at_button(at: AppTest, key: str) -> bool:
    return key in [button.key for button in at.button]
