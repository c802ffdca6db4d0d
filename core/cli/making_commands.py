"""The commands that make videos: generate, regenerate, audition, finish."""

import argparse
from collections.abc import Callable
from typing import Any

from core.cli.console import Run, follow, say, show
from core.domain.modes import MODES
from core.domain.request import VideoRequest
from core.families.registry import SCHEDULERS
from core.jobs.kinds.audition import Audition
from core.jobs.queue.job import Job
from core.settings import Settings
from core.studio import Studio, open_studio

VERDICT_WORDS = {"identical": "Identical: every pixel of all frames is the same.",
                 "equivalent": "Equivalent: looks the same.", "drifted": "Drifted: different."}


def _made(studio: Studio, job: Job, as_json: bool) -> int:
    job = follow(studio, job)
    if job.state != "done":
        say(f"{job.state}: {job.reason}")
        return 1
    if job.reason:
        say(job.reason)
    video = studio.video(job.id)
    path = studio.library.mp4_path(job.id)
    document: dict[str, Any] = {**video.document(), "path": str(path)}
    lines = [str(path), f"seed {video.known_recipe().seed} · {video.runtime.total_s:.1f} s · id {video.id}"]
    if video.verdict is not None:
        document.update(verdict=video.verdict.verdict, causes=list(video.verdict.causes),
                        psnr_db=video.verdict.psnr_db)
        lines.append(VERDICT_WORDS[video.verdict.verdict])
        lines += [f"  differs: {cause}" for cause in video.verdict.causes]
    show(document, lines, as_json)
    return 0


def generate(settings: Settings, arguments: argparse.Namespace) -> int:
    """Make one video and wait for it."""
    asked = {name: getattr(arguments, name) for name in VideoRequest.__dataclass_fields__}
    with open_studio(settings) as studio:
        return _made(studio, studio.submit(VideoRequest(**asked)), arguments.json)


def regenerate(settings: Settings, arguments: argparse.Namespace) -> int:
    """Make a video again with the same seed, and show whether it is the same."""
    with open_studio(settings) as studio:
        video = studio.video(arguments.id)
        video.known_recipe()
        forecast = studio.planner.foresee(video)
        for cause in forecast.causes:
            say(f"This machine differs: {cause}.")
        if not forecast.known:
            say("Other differences are known only after the model is loaded.")
        return _made(studio, studio.regenerate(arguments.id), arguments.json)


def audition(settings: Settings, arguments: argparse.Namespace) -> int:
    """Try several seeds in few steps, and wait for their contact sheet."""
    asked = {name: getattr(arguments, name) for name in VideoRequest.__dataclass_fields__}
    with open_studio(settings) as studio:
        job = follow(studio, studio.audition(VideoRequest(**asked), arguments.seeds, arguments.audition_steps))
        if not job.ended_well:
            say(f"{job.state}: {job.reason}")
            return 1
        task, path = job.task, studio.contact_sheet_path(job.id)
        assert isinstance(task, Audition)
        show({"id": job.id, **task.tried(), "request": task.recipe.document(), "reason": job.reason,
              "path": str(path)},
             [str(path), *(f"{place}: seed {seed}" for place, seed in enumerate(task.seeds, start=1)),
              *filter(None, [job.reason]), f"Finish one: python -m core finish {job.id} SEED"], arguments.json)
    return 0


def finish(settings: Settings, arguments: argparse.Namespace) -> int:
    """Make the video of one seed of an audition, with all its steps."""
    with open_studio(settings) as studio:
        return _made(studio, studio.finish(arguments.id, arguments.seed), arguments.json)


def delete_audition(settings: Settings, arguments: argparse.Namespace) -> int:
    """Remove an ended audition with its contact sheet; the videos finished from it stay."""
    with open_studio(settings, "visit") as studio:
        studio.forget_audition(arguments.id)
        show({"deleted": arguments.id}, [f"Deleted the audition {arguments.id}. The videos did not change."],
             arguments.json)
    return 0


def _request_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("prompt")
    sub.add_argument("--model")
    sub.add_argument("--negative-prompt")
    for name in ("num-frames", "num-inference-steps", "fps", "seed", "width", "height"):
        sub.add_argument(f"--{name}", type=int)
    sub.add_argument("--guidance-scale", type=float)
    for name, rows in (("scheduler", SCHEDULERS), ("mode", MODES)):
        sub.add_argument(f"--{name}", help=f"one of {', '.join(rows)}")


def add_commands(command: Callable[[str, Run], argparse.ArgumentParser]) -> None:
    """Add these commands to a command line; `command` adds one by its name and its function."""
    _request_options(command("generate", generate))
    command("regenerate", regenerate).add_argument("id")
    trying = command("audition", audition)
    _request_options(trying)
    trying.add_argument("--seeds", type=int, default=6, metavar="N", help="how many: 2 to 9")
    trying.add_argument("--audition-steps", type=int, metavar="N", help="steps of each run; default: a third")
    finishing = command("finish", finish)
    finishing.add_argument("id")
    finishing.add_argument("seed", type=int)
    command("delete-audition", delete_audition).add_argument("id")
