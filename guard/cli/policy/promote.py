"""``guard policy promote``: a candidate takes the active policy's place."""

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from guard.policy.config import Config
    from guard.policy.load import Loaded

EX_USAGE, EX_CANTCREAT = 64, 73


def promote(
    candidate: Path | None = typer.Argument(
        None,
        metavar="CANDIDATE",
        help="The guard.yaml to promote. Default: what `candidate` of the active one names.",
    ),
    config: Path | None = typer.Option(None, help="The active guard.yaml (default: GUARD_CONFIG, else ./guard.yaml)."),
    yes: bool = typer.Option(False, "--yes", help="Do not ask."),
) -> None:
    """Check a candidate, show what it changes, and write it over the active policy; the gateway picks it up by itself.

    The policy before stays beside it as NAME.before. Ends with 1 if the candidate cannot be used or the answer is no,
    64 without a terminal and without --yes, 73 if it cannot be written.
    """
    from guard.cli.policy.diff import both, change_lines
    from guard.policy.difference import demands
    from guard.policy.locations import configuration
    from guard.policy.wording import wordings

    path = configuration(config)
    if path is None:
        raise typer.BadParameter("there is no guard.yaml here to promote over", param_hint="--config")
    source = candidate or _named(path)
    active, proposed = both(path, source)
    if source.read_bytes() == path.read_bytes():
        typer.echo(f"{path} says the same already; nothing is written")  # the policy before stays in NAME.before
        return
    changes = demands(active, proposed)
    for line in change_lines(changes, wordings(active, proposed)):
        typer.echo(line)
    missing = [change.line for change in changes if change.looser and change.line not in proposed.config.confirm]
    flaws = _flaws(proposed)
    if flaws:
        typer.echo("\n".join(flaws), err=True)
        raise typer.Exit(1)
    if missing:
        typer.echo(
            f"{source}: confirm: these lines are missing there; a running gateway would refuse the policy:", err=True
        )
        for line in missing:
            typer.echo(f'  - "{line}"', err=True)
        raise typer.Exit(1)
    if not yes:
        if not sys.stdin.isatty():
            typer.echo("nobody is there to be asked; allowed: --yes", err=True)
            raise typer.Exit(EX_USAGE)
        if not typer.confirm(f"Write {source} over {path}?"):
            raise typer.Exit(1)
    try:
        _write(source, path, proposed)
    except OSError as error:
        typer.echo(f"{path} was not changed: {error.strerror or error}", err=True)
        raise typer.Exit(EX_CANTCREAT) from None
    typer.echo(f"{path}: promoted; the policy before is {path.name}.before")


def _named(path: Path) -> Path:
    """The candidate that the active configuration names. Exits with 1 if it cannot be used."""
    from guard.policy.document import PolicyError
    from guard.policy.load import load_config

    try:
        named = load_config(path).candidate
    except PolicyError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    if named is None:
        raise typer.BadParameter(f"{path} names no candidate; name one", param_hint="CANDIDATE")
    return Path(named)


def _flaws(proposed: "Loaded") -> list[str]:
    """Return what the self-test of a running gateway would refuse the policy for."""
    from guard.policy.selftest import SelfTest

    return [str(problem) for problem in SelfTest(os.environ).problems(proposed, time.time())]


def _write(source: Path, path: Path, proposed: "Loaded") -> None:
    """Put the content of ``source`` at ``path``, whole or not at all, with the mode and owner of what was there.

    Raises OSError, also for a path that is a symbolic link or in a directory that is one (a mounted ConfigMap is
    changed where it is kept), for files that are not those of ``proposed`` any more, and for a candidate whose relative
    paths mean something else beside ``path``.
    """
    from guard.policy.load import digest_of

    if path.is_symlink() or path.parent.is_symlink():
        raise OSError(0, "it is a symbolic link, as in a mounted ConfigMap: change the ConfigMap instead")
    content, before = source.read_bytes(), path.read_bytes()
    if digest_of(proposed.watched) != proposed.digest:
        raise OSError(0, f"{source} changed meanwhile; look at it again")
    if _meaning(source, source.parent) != _meaning(source, path.parent):
        raise OSError(0, f"relative paths in {source} mean something else there")
    _put(before, path.stat(), path.with_name(f"{path.name}.before"))
    _put(content, path.stat(), path)


def _meaning(source: Path, directory: Path) -> "Config":
    """Return the configuration in ``source`` as it would read if it were in ``directory``."""
    from guard.policy.load import read_config

    return read_config(source, {}, lambda name: str((directory / name).resolve())).value


def _put(content: bytes, like: os.stat_result, path: Path) -> None:
    """Make ``path`` a file with ``content`` and the mode and owner of ``like``, at once and durably."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            if (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), like.st_uid, like.st_gid)
            os.fchmod(file.fileno(), like.st_mode & 0o7777)
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
