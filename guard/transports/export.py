"""The export gate for a data set that comes over the admin port."""

import time
from collections.abc import Mapping
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
from guard.transports.upload import BadDataError, BadFormatError, NoIndexError


def check_body(
    file: BufferedRandom,
    target: str,
    format_: str,
    state_dir: Path,
    packs: Mapping[str, License],
    digests: Mapping[str, str],
) -> dict[str, Any]:
    """Return the gate's statement on the records in ``file`` for training ``target``; takes its time.

    ``digests`` are those of ``packs``. Raises BadFormatError, BadDataError, NoIndexError, and OSError.
    """
    layout = Layout(state_dir)
    try:
        key = Key(layout.key.read_bytes())
    except FileNotFoundError:
        raise NoIndexError from None
    index = Index(layout.provenance, MonthKeys(layout.keys), key.master)
    try:
        source = Source("-", format=format_, digest=True, stdin=file)
    except ValueError as error:
        raise BadFormatError(format_) from error
    with source:
        try:
            use = Use(judge_of(target, packs), related_by(packs))
            result = check(read(source), [Indexed(index, key)], use)
        except DataError as error:
            raise BadDataError(error.line) from error
    files = [Digest("", found.sha256 or "") for found in source.reads]
    return statement(result, Asked(target, guard.__version__, digests, files), time.time())
