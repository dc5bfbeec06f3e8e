"""The trail of what people add to a count: entries in an audit chain that only commands write."""

import fcntl
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from guard.cli.usage.output import EX_CANTCREAT
from guard.cli.usage.source import Source

if TYPE_CHECKING:
    from guard.policy.config import Config

CHAIN = "usage"
"""The chain's name beside those of the gateways: a command that took one of theirs could shift them at a start."""


class Deed(NamedTuple):
    """An entry: what is about to be done."""

    kind: str
    facts: Mapping[str, Any]


def leave_trail(where: Source, deeds: Sequence[Deed]) -> None:
    """Put ``deeds`` into the audit chain of the configuration, as ``put_on_record`` does."""
    put_on_record(where.config, deeds, CHAIN)


def put_on_record(config: "Config | None", deeds: Sequence[Deed], chain: str) -> None:
    """Put ``deeds`` into the audit ``chain`` of a configuration; to be called before they are done.

    On return they are in the file: nothing is done without a trail, though something in the trail may have failed. The
    command ends with 73 where they cannot be written. Without a configuration, or with ``evidence.audit: false``, there
    is no chain, which goes to standard error.
    """
    from guard.evidence.chain import Journal, JournalError
    from guard.evidence.signing import Signer, SigningError
    from guard.provenance.layout import Layout

    if config is None or not config.evidence.audit:
        why = "no configuration names one (--config)" if config is None else "evidence.audit is off"
        print(f"This is in no audit chain, as {why}: keep what is printed.", file=sys.stderr)
        return
    layout = Layout(Path(config.state_dir).absolute())
    directory = layout.audit
    try:
        with _turn(directory):
            signer = Signer(layout.signing)
            journal = Journal(directory, instance=chain, fsync=config.evidence.fsync, signer=signer)
            journal.start()
            try:
                for deed in deeds:
                    journal.append(deed.kind, deed.facts)
            finally:
                journal.close()
    except (JournalError, SigningError, OSError) as error:
        reason = f"{directory}: {error.strerror}" if isinstance(error, OSError) else error
        print(f"nothing was changed, as it cannot be put on record: {reason}", file=sys.stderr)
        raise typer.Exit(EX_CANTCREAT) from error


@contextmanager
def _turn(directory: Path) -> Iterator[None]:
    """Wait until no other command writes to the chain in ``directory``. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
