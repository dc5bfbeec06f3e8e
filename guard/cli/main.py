"""The ``guard`` command: knows every subcommand's name and help line, and imports a subcommand only to run it.

Exit codes are those of sysexits.h: 64 for bad usage, 65 for bad input data, 73 for what cannot be written, 78 for a bad
configuration or ledger (``docs/errors.md``). A subcommand may have codes of its own (``guard export check``); it raises
``typer.Exit`` with them.
"""

import os
import sys
from importlib import import_module
from inspect import signature
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.models import ParameterInfo

import guard

EX_USAGE, EX_CONFIG = 64, 78
INTERRUPTED, UNREAD = 130, 141
"""As shells count them: 128 and the number of SIGINT, or of SIGPIPE where nobody reads any more (``| head``)."""

UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""Typer raises it but exports only its subclass."""


class Entry(NamedTuple):
    """One subcommand: the module it lives in, its name there (a function or a Typer app), and its line of help."""

    module: str
    attribute: str
    help: str


COMMANDS: dict[str, Entry] = {
    "demo": Entry("guard.cli.demo", "demo", "Play real traffic through Guard and show what happens to it."),
    "serve": Entry("guard.cli.serve", "serve", "Stand in front of an inference server as a sidecar."),
    "policy": Entry("guard.cli.policy", "app", "List, show, check, test and explain: license packs, and a policy."),
    "usage": Entry("guard.cli.usage", "app", "Show, report, merge and forecast the users counted."),
    "keys": Entry("guard.cli.keys", "app", "Manage API keys, and the keys that count users and sign."),
    "screen": Entry("guard.cli.screen", "screen", "Screen JSON lines of text on standard input."),
    "export": Entry("guard.cli.export", "app", "Check whether a data set may train a model."),
    "report": Entry("guard.cli.report", "report", "Write the month's evidence for a lawyer, as a page and as JSON."),
    "audit": Entry("guard.cli.audit", "app", "Verify the audit chain, and read it."),
    "doctor": Entry("guard.cli.doctor", "doctor", "Probe a deployment for what Guard cannot see or guard."),
}


class LazyGroup(TyperGroup):
    """Holds stand-ins that carry a name and a help line; ``resolve_command`` swaps in the real command."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, entry in COMMANDS.items():
            self.add_command(TyperCommand(name, help=entry.help, callback=None), name)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the command that ``args`` begin with, imported."""
        name, found, rest = super().resolve_command(ctx, args)
        return name, found and load(found.name or ""), rest


def load(name: str) -> Any:
    """Import the subcommand ``name`` and return it as a command object."""
    entry = COMMANDS[name]
    found = getattr(import_module(entry.module), entry.attribute)
    if not isinstance(found, typer.Typer):
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(name, help=found.__doc__ or entry.help)(found)
        found = app
    _leave_reading(found)
    command = typer.main.get_command(found)
    command.name = name
    return command


def _leave_reading(commands: typer.Typer) -> None:
    """Let commands open their files themselves: one that cannot be read is bad input, not bad usage."""
    for command in commands.registered_commands:
        for parameter in signature(command.callback).parameters.values() if command.callback else ():
            if isinstance(parameter.default, ParameterInfo):
                parameter.default.readable = False
    for group in commands.registered_groups:
        if group.typer_instance is not None:
            _leave_reading(group.typer_instance)


app = typer.Typer(cls=LazyGroup, add_completion=False, no_args_is_help=True, rich_markup_mode=None)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"guard {guard.__version__}")
        raise typer.Exit


@app.callback()
def root(version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show it.")) -> None:
    """Keep whoever serves an open-weight model inside that model's license."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code."""
    try:
        code = run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit) as end:  # typer makes a broken pipe an exit with 1
        if not isinstance(end, BrokenPipeError) and not isinstance(end.__context__, BrokenPipeError):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # takes what is left in the buffer
        code = UNREAD
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run the command line and return its exit code."""
    command = typer.main.get_command(app)
    try:
        code = command.main(arguments, prog_name="guard", standalone_mode=False)
    except UsageError as error:
        error.show()  # type: ignore[attr-defined]
        return EX_USAGE
    except typer.Abort:
        return INTERRUPTED
    except Exception as error:
        if not _is_policy_error(error):
            raise
        print(error, file=sys.stderr)
        return EX_CONFIG
    return code if isinstance(code, int) else 0


def _is_policy_error(error: Exception) -> bool:
    document = sys.modules.get("guard.policy.document")  # not imported: nothing can have raised it
    return document is not None and isinstance(error, document.PolicyError)
