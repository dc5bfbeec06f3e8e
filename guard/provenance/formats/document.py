"""JSON: an array of records, an object that holds such arrays, one record, or one record after another.

Only one record and one chunk are held at a time, however large the file is.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from guard.provenance.formats.members import members
from guard.provenance.formats.opened import LARGEST, Opened, Output
from guard.provenance.formats.text import CHUNK, Window
from guard.provenance.record import is_text, speaks

HOLDERS = frozenset(
    {"data", "rows", "records", "examples", "instances", "items", "samples", "entries", "dataset", "train",
     "validation", "valid", "dev", "test"}
)  # fmt: skip
"""Members of an object that hold records, if they are arrays of objects that are no turns of a conversation."""
ALLOWED = (
    "allowed: an array of records, an object with such an array under "
    + ", ".join(sorted(HOLDERS))
    + ", or records one after another"
)


class Event(NamedTuple):
    """A piece of the text: a record, or where an array or object of records begins or ends.

    ``kind``: ``record``, ``open`` and ``close`` with the text to write there, ``keep`` for what is no record.
    """

    kind: str
    line: int
    document: Any
    raw: str


def items(file: Opened) -> Iterator[tuple[int, Any]]:
    """Yield the line and the value of every record."""
    for event in events(Window(file)):
        if event.kind == "record":
            yield event.line, event.document


def copy(file: Opened, out: Output, keeps: Callable[[], bool]) -> int:
    """Write the text without the records that ``keeps``, asked once for each, does not want; return how many it has."""
    kept = 0
    any_: list[bool] = []
    window = Window(file)
    out.write(window.mark)
    for event in events(window):
        if event.kind == "close":
            end = ("\n" if any_.pop() else "") + event.raw + ("" if any_ else "\n")
            out.write(end.encode())
        elif event.kind != "record" or keeps():
            kept += event.kind == "record"
            comma = (",\n" if any_[-1] else "\n") if any_ else ""
            out.write((comma + event.raw).encode())
            if any_:
                any_[-1] = True
            if event.kind == "open":
                any_.append(False)
            elif not any_:
                out.write(b"\n")
    return kept


def events(window: Window) -> Iterator[Event]:
    """Yield what the text holds, in order. Raises DataError where it is no JSON or holds no records."""
    first = window.skip(0)
    if first == "[":
        yield from _array(window, "")
        if window.skip(0):
            raise window.error(f"something follows the array; {ALLOWED}")
        return
    alone = True
    while first:
        whole = window.value(0, CHUNK if alone and first == "{" else LARGEST)
        if whole is None and not (alone and first == "{"):
            raise window.error(f"a record of more than {LARGEST >> 20} MiB; {ALLOWED}")
        if whole is not None:
            document, end = whole
            alone = alone and not window.ahead(end)[0]
            if alone and isinstance(document, dict):
                if columns := _columns(document):
                    raise window.error(f"an object of columns ({columns}); {ALLOWED}")
                whole = None if any(_holds(*member) for member in document.items()) else whole
        if whole is not None:
            yield Event("record", window.line, document, window.slice(0, end))
            first = window.skip(end)
            continue
        held = False
        for event in _object(window):
            held = held or event.kind == "open"
            yield event
        first, alone = window.skip(0), False
        if first and held:
            raise window.error(f"something follows the object of records; {ALLOWED}")


def _array(window: Window, name: str) -> Iterator[Event]:
    """Yield the elements of the array that begins here."""
    yield Event("open", window.line, None, f"{name}[")
    mark = window.skip(1)
    ended = mark == "]"
    while not ended:
        found = window.value(0)
        if found is None:
            raise window.error(f"a record of more than {LARGEST >> 20} MiB; {ALLOWED}, each of them smaller")
        document, end = found
        yield Event("record", window.line, document, window.slice(0, end))
        ended = _goes_on(window, end, "]")
    window.skip(1)
    yield Event("close", window.line, None, "]")


def _object(window: Window) -> Iterator[Event]:
    """Yield the object that begins here, member by member: arrays of records by themselves, what is beside them too.

    An object without such an array is one record.
    """
    begun, opened = window.line, False
    held: list[tuple[str, Any]] = []
    raws: list[str] = []
    line = begun
    ended = window.skip(1) == "}"
    while not ended:
        name, end = _name(window)
        character, at = window.ahead(end)
        if character == "[" and name in HOLDERS and _holds(name, _first(window, at)):
            if not opened:
                yield Event("open", begun, None, "{")
            yield from _beside(members(held), raws, line)
            held, raws, opened = [], [], True
            raw = window.slice(0, at)
            window.skip(at)
            yield from _array(window, raw)
            ended = _goes_on(window, 0, "}")
            line = window.line
            continue
        found = window.value(at)
        if found is None or sum(map(len, raws)) + found[1] > LARGEST:
            raise window.error(f"an object of more than {LARGEST >> 20} MiB that is one record; {ALLOWED}")
        value, end = found
        held.append((name, value))
        raws.append(window.slice(0, end))
        ended = _goes_on(window, end, "}")
    window.skip(1)
    if opened:
        yield from _beside(members(held), raws, line)
        yield Event("close", window.line, None, "}")
    else:
        yield Event("record", begun, members(held), "{" + ", ".join(raws) + "}")


def _beside(held: dict[str, Any], raws: list[str], line: int) -> Iterator[Event]:
    """Yield the members that stand beside the arrays as one record if there is any text in them."""
    if raws:
        texts = any(isinstance(value, str | list | dict) or is_text(name) for name, value in held.items())
        kind = "record" if texts else "keep"
        yield Event(kind, line, held, ", ".join(raws))


def _name(window: Window) -> tuple[str, int]:
    """Return the name of the member that begins here, and where what follows its colon begins."""
    found = window.value(0)
    if found is None or not isinstance(found[0], str):
        raise window.error("not JSON: the name of a member is missing; allowed: names in double quotes")
    colon, at = window.ahead(found[1])
    if colon != ":":
        raise window.error("not JSON: a colon is missing behind a name; allowed: whole JSON values")
    return found[0], at + 1


def _goes_on(window: Window, end: int, close: str) -> bool:
    """Move behind what ends at ``end`` and the comma there; return True if ``close`` stands there instead."""
    mark = window.skip(end)
    if mark not in {",", close}:
        what = {"]": "the end of the array", "}": "the end of the object"}[close]
        raise window.error(f"not JSON: a comma or {what} is missing; allowed: whole JSON values")
    if mark == ",":
        window.skip(1)
    return mark == close


def _first(window: Window, at: int) -> list[Any]:
    """Return the first element of the array at ``at`` as a list; an empty one for an empty array."""
    character, begin = window.ahead(at + 1)
    if character != "{":
        return []
    found = window.value(begin)
    return [found[0]] if found is not None else []


def _holds(name: str, value: Any) -> bool:
    """Return whether a member holds records."""
    if name not in HOLDERS or not isinstance(value, list) or not value or not isinstance(value[0], dict):
        return False
    return speaks(value[0]) is None


def _columns(document: dict[str, Any]) -> str:
    """Return the names of the columns of an object of columns, as pandas writes them; empty for any other."""
    values = list(document.values())
    if not values:
        return ""
    if all(isinstance(value, list) for value in values):
        found = len(values[0]) > 1 and all(len(value) == len(values[0]) for value in values)
        found = found and not any(isinstance(value[0], dict) for value in values)
    elif all(isinstance(value, dict) for value in values):
        found = len(values[0]) > 0 and all(
            value.keys() == values[0].keys() and all(name.isdecimal() for name in value) for value in values
        )
    else:
        found = False
    return ", ".join(list(document)[:5]) if found else ""
