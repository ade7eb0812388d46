"""Runs a command: log lines to stderr, errors in three parts, and the exit code."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import click
from click.shell_completion import shell_complete

from reid.errors import ReidError, Terminated

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass
class Verbosity:
    """What the switches of any level of the command said."""

    verbose: bool = False
    debug: bool = False


def run_group(group: click.Group, name: str, arguments: Sequence[str] | None) -> int:
    """Parses and runs a command line; never raises, but tells what happened on stderr and by the exit code."""
    completion = f"_{name.upper()}_COMPLETE"
    if instruction := os.environ.get(completion):
        return shell_complete(group, {}, name, completion, instruction)
    verbosity = Verbosity()
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        with _console_logging(), group.make_context(name, given, obj=verbosity) as context:
            group.invoke(context)
            sys.stdout.flush()
        return 0
    except click.exceptions.Exit as end:  # --help, and an end that a command asked for
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt) as interrupt:
        click.echo("stopped", err=True)
        for advice in interrupt.args:  # of a command that knows how to go on
            click.echo(f"next:  {advice}", err=True)
        return 130
    except Terminated as stop:
        click.echo("stopped: SIGTERM", err=True)
        if stop.advice:
            click.echo(f"next:  {stop.advice}", err=True)
        return 143
    except BrokenPipeError:  # the reader, e.g. `head`, has seen enough; what is still buffered goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except ReidError as error:
        _show(error, debug=verbosity.debug)
        return error.exit_code
    except Exception as error:
        if verbosity.debug:
            traceback.print_exc()
        else:
            click.echo(f"error: {type(error).__name__}: {error}", err=True)
            click.echo("next:  this is not an error we foresaw; add --debug to see where it comes from", err=True)
        return 1


def switches(function: _Function) -> _Function:
    """Adds `-v/--verbose` and `--debug`, which mean the same at every level of a command."""
    for option in (
        click.option(
            "--debug", is_flag=True, expose_value=False, callback=_note, help="Show tracebacks, and all log lines."
        ),
        click.option("-v", "--verbose", is_flag=True, expose_value=False, callback=_note, help="More log lines."),
    ):
        function = option(function)
    return function


def _note(context: click.Context, option: click.Parameter, given: bool) -> None:
    verbosity = context.find_object(Verbosity)
    if given and verbosity is not None and option.name is not None:
        setattr(verbosity, option.name, True)
        logging.getLogger("reid").setLevel(logging.DEBUG)


@contextmanager
def _console_logging() -> Iterator[None]:
    """Sends our log lines to stderr while a command runs: coloured on a terminal, plain elsewhere."""
    logger = logging.getLogger("reid")
    before = logger.level
    handler = _handler()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def _handler() -> logging.Handler:
    if sys.stderr.isatty():
        return _TerminalHandler()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%d %H:%M:%S"))
    return handler


class _TerminalHandler(logging.Handler):
    """Rich's handler, made at the first log line, so that commands which log nothing do not import rich."""

    def __init__(self) -> None:
        super().__init__()
        self._inner: logging.Handler | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if self._inner is None:
            from rich.console import Console
            from rich.logging import RichHandler

            self._inner = RichHandler(console=Console(stderr=True), show_path=False, log_time_format="%H:%M:%S")
        self._inner.emit(record)


def _show(error: ReidError, *, debug: bool) -> None:
    if debug:
        traceback.print_exception(error)
    for label, text in (("error", error.found), ("why", error.why), ("next", error.fix)):
        if text:
            first, *rest = text.splitlines()
            heading = click.style(f"{label}:".ljust(7), fg="red" if label == "error" else None)
            click.echo(f"{heading}{first}", err=True)
            for line in rest:
                click.echo(f"       {line}", err=True)
