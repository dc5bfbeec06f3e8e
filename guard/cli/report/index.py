"""How much of what was answered in the month the provenance index of each gateway holds."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any


def index_rows(
    states: Sequence[tuple[str, Path]], month: str, told: Callable[[int], None] = lambda _bytes: None
) -> list[dict[str, Any]]:
    """Return a row for the index of each of ``states``, named directories; its months are UTC months.

    Raises OSError for what is there and cannot be read.
    """
    return [_row(name, state, month, told) for name, state in states]


def _row(name: str, state: Path, month: str, told: Callable[[int], None]) -> dict[str, Any]:
    from guard.provenance.coverage import Index
    from guard.provenance.layout import Layout
    from guard.provenance.months import MonthKeys
    from guard.provenance.scan import Postings

    layout = Layout(state)
    row = {"of": f" of gateway {name}" if name else "", "gateway": name or None, "source": {"index": month}}
    try:
        secret = layout.key.read_bytes()
    except FileNotFoundError:
        return {**row, "counts": None, "complete": False, "reasons": ["there is no index: it has no key"]}
    index = Index(layout.provenance, MonthKeys(layout.keys), secret, month, month)
    for each in index.months:
        postings = Postings()
        postings.seal()
        for _ in index.search_month(each, postings, told):
            pass  # nothing is looked for: reading it says what is there
    found = index.coverage.months.get(month)
    counts = None
    if found is not None:
        counts = {field: value for field, value in asdict(found).items() if field != "gaps"}
    return {**row, "counts": counts, "complete": index.coverage.complete, "reasons": list(index.coverage.reasons())}
