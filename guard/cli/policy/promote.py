"""``guard policy promote``: a candidate takes the active policy's place."""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from guard.policy.load import Loaded

EX_USAGE, EX_CANTCREAT = 64, 73


def promote(
    candidate: Path | None = typer.Argument(
        None,
        metavar="[CANDIDATE]",
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

    path = configuration(config)
    if path is None:
        raise typer.BadParameter("there is no guard.yaml here to promote over", param_hint="--config")
    source = candidate or _named(path)
    active, proposed = both(path, source)
    changes = demands(active, proposed)
    for line in change_lines(changes):
        typer.echo(line)
    missing = [change.line for change in changes if change.looser and change.line not in proposed.config.confirm]
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


def _same(moved: Path, proposed: "Loaded") -> bool:
    """Return True if the policy is the same where it was ``moved`` to."""
    from guard.policy.document import PolicyError
    from guard.policy.load import load
    from guard.policy.posture import posture

    try:
        there = load(moved)
    except PolicyError:
        return False
    same_rules = there.snapshot.rules.digest == proposed.snapshot.rules.digest
    return same_rules and posture(there.config, there.snapshot) == posture(proposed.config, proposed.snapshot)


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


def _write(source: Path, path: Path, proposed: "Loaded") -> None:
    """Put the content of ``source`` at ``path``, whole or not at all, with the mode and owner of what was there.

    Raises OSError, and for a path that leads through a symbolic link (a mounted ConfigMap is changed where it is kept)
    and a candidate whose relative paths mean something else there.
    """
    if path.is_symlink() or path.absolute() != path.resolve():
        raise OSError(
            0, "it is reached through a symbolic link, as in a mounted ConfigMap: change the ConfigMap instead"
        )
    before, content = path.stat(), source.read_bytes()
    shutil.copy2(path, path.with_name(f"{path.name}.before"))
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), before.st_mode & 0o7777)
            if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
            os.fsync(file.fileno())
        if not _same(Path(name), proposed):
            raise OSError(0, f"the relative paths in {source} mean something else beside it")
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
