"""The commands about this machine: models, doctor, dispatch, bench."""

import argparse
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict

from core.cli.console import Run, say, show
from core.operations.doctor import estimates, examine
from core.settings import REPOSITORY, Settings
from core.studio import open_studio


def models(settings: Settings, arguments: argparse.Namespace) -> int:
    """List the models that you can use."""
    with open_studio(settings, "visit") as studio:
        rows = studio.models()
        lines = [f"{row.key}: {row.title}. {row.summary} Licence {row.licence}: {row.permitted_use}"
                 for row in rows.values()]
        show([asdict(row) for row in rows.values()], lines, arguments.json)
    return 0


def doctor(settings: Settings, arguments: argparse.Namespace) -> int:
    """Check this machine, and tell you how to fix each problem."""
    with open_studio(settings, "visit") as studio:
        checks = [*examine(settings), *estimates({key: studio.planner.errors(key) for key in studio.models()})]
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


def add_commands(command: Callable[[str, Run], argparse.ArgumentParser]) -> None:
    """Add these commands to a command line; `command` adds one by its name and its function."""
    for name, run in (("models", models), ("doctor", doctor), ("dispatch", dispatch), ("bench", bench)):
        command(name, run)
