"""The export gate for a data set that comes over the admin port."""

import time
from collections.abc import Mapping
from hashlib import sha256
from io import BufferedRandom
from pathlib import Path
from typing import Any

import guard
from guard.licensing.license import License
from guard.provenance.coverage import Index
from guard.provenance.formats import DataError, Source, read
from guard.provenance.gate import Indexed, check
from guard.provenance.judge import Use, judge_of, related_by
from guard.provenance.layout import Layout
from guard.provenance.marks import Key
from guard.provenance.months import MonthKeys
from guard.provenance.statement import Asked, Digest, statement
from guard.transports.upload import BadDataError, BadFormatError, NoIndexError, Query


def check_body(
    file: BufferedRandom,
    query: Query,
    state_dir: Path,
    packs: Mapping[str, License],
    digests: Mapping[str, str],
) -> dict[str, Any]:
    """Return the gate's statement on the records in ``file``; takes its time.

    ``digests`` are those of ``packs``. Raises BadFormatError, BadDataError, NoIndexError, and OSError.
    """
    layout = Layout(state_dir)
    try:
        key = Key(layout.key.read_bytes())
    except FileNotFoundError:
        raise NoIndexError from None
    index = Index(layout.provenance, MonthKeys(layout.keys), key.master, query.since, query.until)
    try:
        source = Source("-", format=query.format, digest=True, stdin=file)
    except ValueError as error:
        raise BadFormatError from error
    with source:
        try:
            use = Use(judge_of(query.target, packs), related_by(packs), query.tenant)
            result = check(read(source), [Indexed(index, key)], use)
        except DataError as error:
            raise BadDataError(error.line, error.what) from error
    files = [Digest("", found.sha256 or "") for found in source.reads]
    asked = Asked(query.target, guard.__version__, digests, files, query.since, query.until, query.tenant)
    return statement(result, asked, time.time())


def entry(document: Mapping[str, Any], query: Query, digests: Mapping[str, str], policy: str) -> dict[str, Any]:
    """Return what the journal has of a check: what was asked of which data by whom, by which packs, and the result.

    ``digests`` are those of all packs, which are too many to be named: what is kept is the digest of them together
    (``sha256sum`` of lines ``<digest>  <id>``, sorted by id). ``policy`` is the hash of the policy in force.
    """
    lines = "".join(f"{digest}  {id_}\n" for id_, digest in sorted(digests.items()))
    return {
        "target": query.target,
        "tenant": query.tenant,
        "since": query.since,
        "until": query.until,
        "asker": query.asker,
        "sha256": document["files"][0]["sha256"],
        "records": document["records"],
        "found": document["found"],
        "complete": document["coverage"]["complete"],
        "verdict": document["verdict"],
        "packs": sha256(lines.encode()).hexdigest(),
        "policy": policy,
    }
