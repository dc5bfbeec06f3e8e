"""What is kept to show what happened: the audit chain, the key that signs it, the index."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from guard.cli.doctor.check import Check, fail, ok, warn

if TYPE_CHECKING:
    from guard.policy.config import Config

MOST = 64 * 1024 * 1024
"""Bytes of journals that are verified whole; of more, only the latest file of each chain."""
SECONDS = 3.0
WRITING = "is unfinished"
"""How a last line looks that a gateway is writing just now."""


def checks(config: "Config") -> Iterator[Check]:
    """Yield what is to be said of the evidence in ``state_dir``."""
    from guard.provenance.layout import Layout

    layout = Layout(Path(config.state_dir))
    if not config.evidence.audit:
        yield warn("audit chain", "evidence.audit is off: nothing shows later what was decided", "evidence.audit: true")
    elif layout.audit.is_dir():
        yield _chain(layout.audit, layout.signing)
        yield _signing(layout.signing)
    yield from _heads(config)
    if config.outputs.receipts and layout.provenance.is_dir():
        yield _index(layout.provenance, layout.keys, layout.key)


def _heads(config: "Config") -> Iterator[Check]:
    if config.evidence.audit and not config.evidence.heads:
        detail = "none is sent off this machine: whoever can write here could cut or rewrite the audit chain unseen"
        yield warn("heads", detail, "set evidence.heads")
    for place in config.evidence.heads if config.evidence.audit else ():
        if place.file is not None:
            folder = Path(place.file).absolute().parent
            if os.access(folder, os.W_OK | os.X_OK):
                yield ok("heads", f"{place.file} can be written")
            else:
                yield fail("heads", f"{folder} cannot be written by this user", "mount it, and let this user write")
        elif place.webhook is not None:
            parts = urlsplit(place.webhook)
            where = f"{parts.scheme}://{parts.hostname}"  # what follows may be a secret
            try:
                port = parts.port or (443 if parts.scheme == "https" else 80)
                socket.create_connection((parts.hostname or "", port), SECONDS).close()
            except OSError as error:
                yield warn("heads", f"{where} cannot be reached: {error.strerror or error}", "see to its service")
            else:
                yield ok("heads", f"{where} takes connections")


def _chain(directory: Path, signing: Path) -> Check:
    from guard.evidence.journals import journals
    from guard.evidence.signing import PUBLIC, SigningError, Verifier
    from guard.evidence.verify import NoJournalError, verify

    chains = journals(directory)
    files = [file for chain in chains for file in chain.files]
    size = sum(file.stat().st_size for file in files)
    whole = size <= MOST
    try:
        keys = Verifier.of_list(signing / PUBLIC) if (signing / PUBLIC).exists() else None
        places = [directory] if whole else [chain.files[-1] for chain in chains]
        reports = [verify(place, keys=keys) for place in places]
    except (NoJournalError, SigningError, OSError) as error:
        return warn("audit chain", str(error), "none before the first start; else look at the directory")
    bad = next((report.first_bad for report in reports if report.first_bad is not None), None)
    if bad is not None and WRITING not in bad.what:
        return fail("audit chain", str(bad), "keep a copy of the directory and find out who changed it")
    entries = sum(report.entries for report in reports)
    part = "whole" if whole else "its latest files only; guard audit verify reads all"
    return ok("audit chain", f"{entries} entries of {len(chains)} chains verify ({part})")


def _signing(directory: Path) -> Check:
    from guard.evidence.signing import PRIVATE, PUBLIC, SigningError, listed

    if not (directory / PRIVATE).exists():
        return warn("signing key", f"{directory / PRIVATE} is not there", "none: the next start makes it")
    try:
        keys = listed(directory / PUBLIC)
    except (SigningError, OSError) as error:
        return fail("signing key", str(error), "put back keys.json: signatures cannot be checked without it")
    return ok("signing key", f"{keys[-1].id}, one of {len(keys)} listed in {directory / PUBLIC}")


def _index(directory: Path, keys: Path, master: Path) -> Check:
    from guard.provenance.coverage import Index
    from guard.provenance.months import MonthKeys
    from guard.usage.pseudonym import PseudonymKeyError, load_or_create_key

    if not master.exists():
        return fail("index", f"{master} is not there: the index cannot be read", "put it back from a copy")
    try:
        missing = Index(directory, MonthKeys(keys), load_or_create_key(master)).coverage.missing
    except (OSError, ValueError, PseudonymKeyError) as error:
        return fail("index", str(error), "put back provenance.key and provenance.keys from a copy")
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        do = "put the segments back; until then no export check comes out clean"
        return warn("index", f"{missing[0]}{more}", do)
    return ok("index", "no segment that another one names is missing")
