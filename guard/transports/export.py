"""The export gate for data that comes over the admin port."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from guard.licensing.license import License
from guard.provenance.formats import DataError, read
from guard.provenance.gate import check
from guard.provenance.judge import judge_of
from guard.provenance.layout import Layout
from guard.provenance.statement import statement


def check_lines(data: bytes, target: str, state_dir: Path, packs: Mapping[str, License]) -> dict[str, Any]:
    """Return the gate's statement on JSON lines for training ``target``.

    Raises ValueError for data that cannot be read and for an index that has never been begun.
    """
    layout = Layout(state_dir)
    try:
        key = layout.key.read_bytes()
    except OSError as error:
        raise ValueError("no outputs were ever recorded here; allowed: a server with outputs.receipts on") from error
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        file.write(data)
        file.flush()
        try:
            result = check(read(Path(file.name)), layout.provenance, key=key, judge=judge_of(target, packs))
        except DataError as error:
            where = f"line {error.line}: " if error.line else ""
            raise ValueError(where + str(error).partition(": ")[2]) from error
    return statement(result, target)
