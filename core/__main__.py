"""python -m core …: the studio without a browser. Everything the pages do, for people and for scripts.

With `--json` each command prints one JSON document on stdout and nothing else; messages go to stderr.
Exit status: 0 ok, 1 failed, 2 bad input.
"""

import argparse
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.cli.console import follow, say, show
from core.cli.library_commands import add_commands
from core.domain.models import SCHEDULERS
from core.domain.modes import MODES
from core.domain.request import VideoRequest
from core.errors import BadRequest, StudioError
from core.jobs.queue.ledger import Job
from core.operations.doctor import estimates, examine
from core.settings import REPOSITORY, Settings
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
    lines = [str(path), f"seed {video.request.seed} · {video.runtime.total_s:.1f} s · id {video.id}"]
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
    """Make a video again with the same seed, and say whether it is the same."""
    with open_studio(settings) as studio:
        studio.video(arguments.id).asked()
        forecast = studio.beforehand.foresee(arguments.id)
        for cause in forecast.causes:
            say(f"This machine differs: {cause}.")
        if not forecast.known:
            say("What else differs is known once the model is loaded.")
        return _made(studio, studio.regenerate(arguments.id), arguments.json)


def audition(settings: Settings, arguments: argparse.Namespace) -> int:
    """Try several seeds in few steps, and wait for their contact sheet."""
    asked = {name: getattr(arguments, name) for name in VideoRequest.__dataclass_fields__}
    with open_studio(settings) as studio:
        job = follow(studio, studio.audition(VideoRequest(**asked), arguments.seeds, arguments.audition_steps))
        if not job.ended_well:
            say(f"{job.state}: {job.reason}")
            return 1
        path = studio.contact_sheet_path(job.id)
        show({"id": job.id, **job.audition.document(), "request": job.request.document(), "reason": job.reason,
              "path": str(path)},
             [str(path), *(f"{place}: seed {seed}" for place, seed in enumerate(job.audition.seeds, start=1)),
              *filter(None, [job.reason]), f"Finish one: python -m core finish {job.id} SEED"], arguments.json)
    return 0


def finish(settings: Settings, arguments: argparse.Namespace) -> int:
    """Make the video of one seed of an audition, with all its steps."""
    with open_studio(settings) as studio:
        return _made(studio, studio.finish(arguments.id, arguments.seed), arguments.json)


def delete_audition(settings: Settings, arguments: argparse.Namespace) -> int:
    """Remove an audition that has ended, with its contact sheet; videos finished from it stay."""
    with open_studio(settings, "visit") as studio:
        studio.forget_audition(arguments.id)
        show({"deleted": arguments.id}, [f"Deleted the audition {arguments.id}. No video was touched."],
             arguments.json)
    return 0


def models(settings: Settings, arguments: argparse.Namespace) -> int:
    """The models that can be asked for."""
    with open_studio(settings, "visit") as studio:
        rows = studio.models()
        lines = [f"{row.key}: {row.title}. {row.summary} Licence {row.licence}: {row.permitted_use}"
                 for row in rows.values()]
        show([asdict(row) for row in rows.values()], lines, arguments.json)
    return 0


def doctor(settings: Settings, arguments: argparse.Namespace) -> int:
    """Check this machine and say how to mend what is amiss."""
    with open_studio(settings, "visit") as studio:
        checks = [*examine(settings), *estimates({key: studio.beforehand.errors(key) for key in studio.models()})]
    lines = [f"{'ok  ' if check.ok else 'MEND'}  {check.name}: {check.found}"
             + ("" if check.ok else f"\n      {check.mend}") for check in checks]
    show([asdict(check) for check in checks], lines, arguments.json)
    return 0 if all(check.ok for check in checks) else 1


def dispatch(settings: Settings, arguments: argparse.Namespace) -> int:
    """Run the jobs of this data directory until stopped (for apps started with T2V_DISPATCH=0)."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with open_studio(settings) as studio:
        say("Running jobs." if studio.leads else "Another studio runs the jobs; standing by.")
        stop.wait()
    return 0


def bench(settings: Settings, arguments: argparse.Namespace) -> int:
    """Measure this machine (scripts/bench)."""
    import subprocess
    command = [sys.executable, str(REPOSITORY / "scripts" / "bench"), *(["--json"] if arguments.json else [])]
    return subprocess.run(command, check=False, cwd=REPOSITORY).returncode


def parser() -> argparse.ArgumentParser:
    """The command line, as `docs/command_line.md` lists it."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", default=argparse.SUPPRESS,
                        help="print one JSON document and nothing else")
    shared.add_argument("--data-dir", type=Path, default=argparse.SUPPRESS, help="the library (or T2V_DATA_DIR)")
    root = argparse.ArgumentParser(prog="python -m core", parents=[shared],
                                   description="The Text-to-Video Studio, without a browser.")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[Settings, argparse.Namespace], int]) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=run.__doc__, description=run.__doc__, parents=[shared])
        sub.set_defaults(run=run)
        return sub

    _request_options(command("generate", generate))
    command("regenerate", regenerate).add_argument("id")
    trying = command("audition", audition)
    _request_options(trying)
    trying.add_argument("--seeds", type=int, default=6, metavar="N", help="how many: 2 to 9")
    trying.add_argument("--audition-steps", type=int, metavar="N", help="of each short run; a third of all")
    finishing = command("finish", finish)
    finishing.add_argument("id")
    finishing.add_argument("seed", type=int)
    command("delete-audition", delete_audition).add_argument("id")
    add_commands(command)
    for name, run in (("models", models), ("doctor", doctor), ("dispatch", dispatch), ("bench", bench)):
        command(name, run)
    return root


def _request_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("prompt")
    sub.add_argument("--model")
    sub.add_argument("--negative-prompt")
    for name in ("num-frames", "num-inference-steps", "fps", "seed", "width", "height"):
        sub.add_argument(f"--{name}", type=int)
    sub.add_argument("--guidance-scale", type=float)
    for name, rows in (("scheduler", SCHEDULERS), ("mode", MODES)):
        sub.add_argument(f"--{name}", help=f"one of {', '.join(rows)}")


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    arguments = parser().parse_args(argv)
    arguments.json = getattr(arguments, "json", False)
    try:
        settings = Settings.from_env(data_dir=getattr(arguments, "data_dir", None))
        return arguments.run(settings, arguments)
    except BadRequest as error:
        say(f"Refused. {error}")
        return 2
    except StudioError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 1


if __name__ == "__main__":
    sys.exit(main())
