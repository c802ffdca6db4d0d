"""python -m core …: the studio without a browser, for people and for scripts. It does everything the pages do.

With `--json` each command prints only one JSON document on stdout; messages go to stderr.
Exit status: 0 ok, 1 failed, 2 bad input.
"""

import argparse
from pathlib import Path

import core
from core.cli import library_commands, machine_commands, making_commands
from core.cli.console import Run, say
from core.errors import BadRequest, StudioError
from core.settings import Settings


def parser() -> argparse.ArgumentParser:
    """The command line; `docs/command_line.md` documents it."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", default=argparse.SUPPRESS,
                        help="print only one JSON document")
    shared.add_argument("--data-dir", type=Path, default=argparse.SUPPRESS, help="the library (or T2V_DATA_DIR)")
    root = argparse.ArgumentParser(prog="python -m core", parents=[shared],
                                   description="The Text-to-Video Studio, without a browser.")
    root.add_argument("--version", action="version", version=f"Text-to-Video Studio {core.__version__}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: Run) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=run.__doc__, description=run.__doc__, parents=[shared])
        sub.set_defaults(run=run)
        return sub

    for group in (making_commands, library_commands, machine_commands):
        group.add_commands(command)
    return root


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    arguments = parser().parse_args(argv)
    arguments.json = getattr(arguments, "json", False)
    try:
        settings = Settings.from_env(data_dir=getattr(arguments, "data_dir", None))
        run: Run = arguments.run
        return run(settings, arguments)
    except BadRequest as error:
        say(f"Refused. {error}")
        return 2
    except StudioError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 1
