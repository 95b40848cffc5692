"""The command ``meridian``: every step of the course in a terminal.

Nothing heavy is imported before a command runs, so that help and completion answer at once.
Exit status: 0 done or passed, 1 a verdict that is not passed (or a machine that is not fit),
2 wrong use or an error, 130 interrupted.
"""

from __future__ import annotations

import io
import sys
from typing import Annotated, Any, cast

import typer

from meridian import __version__
from meridian.academy.commands import capstone, carry, doctor, lab, quiz, replay, where
from meridian.academy.commands.failures import failure_message, print_failure
from meridian.errors import MeridianError

__all__ = ["app", "main"]

app = typer.Typer(
    name="meridian",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: readable on any terminal, and 200 ms sooner
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 96},
)

app.command("lab")(lab.lab)
app.command("doctor")(doctor.doctor)
app.command("next")(where.next_)
app.command("quiz")(quiz.quiz)
app.command("check")(capstone.check)
app.command("bench")(capstone.bench)
app.command("submit")(capstone.submit)
app.command("replay")(replay.replay)
app.command("reset")(carry.reset)
app.command("status")(where.status)
app.command("map")(where.map_)
app.command("export")(carry.export)
app.command("import")(carry.import_)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"meridian {__version__}")
        raise typer.Exit


@app.callback()
def meridian(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Meridian Space Academy: learn production systems by building them.

    \b
    First time here:   meridian lab        opens JupyterLab on the course map
    Then, any time:    meridian next       names the one thing to do now

    Each command explains itself: meridian COMMAND --help
    """


# Base of what typer raises for a missing argument and the like; it exports no name for it.
_WrongUse = cast(Any, typer.BadParameter).__mro__[1]


def main() -> None:
    """Run the command line. An error that Meridian raises on purpose is one line and status 2.

    With ``--json`` that line is an object, ``{"error": {"kind": ..., "message": ...}}``, also for
    wrong use; it goes to standard error, so that standard output is valid JSON or empty.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a mark that the terminal lacks is no error
    as_json = "--json" in sys.argv
    try:
        # Not standalone, typer raises what it would print, and returns the status.
        status = app(prog_name="meridian", standalone_mode=not as_json)
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has seen enough
        sys.stderr.close()
        sys.exit(2)
    except _WrongUse as error:
        print_failure(error, error.format_message(), as_json=as_json)
        sys.exit(2)
    except (MeridianError, OSError) as error:
        print_failure(error, failure_message(error), as_json=as_json)
        sys.exit(2)
    sys.exit(status)
