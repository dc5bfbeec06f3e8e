"""JSON lines: one object or text per line, in UTF-8."""

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from guard.provenance.formats.members import members
from guard.provenance.formats.opened import LARGEST, Opened, Output

_decode = msgspec.json.Decoder().decode
_ALLOWED = "allowed: one whole JSON object or text per line"


def items(file: Opened) -> Iterator[tuple[int, Any]]:
    """Yield the line and the value of every record."""
    _, content = file.bytes()
    for line, raw in _lines(file, content):
        yield line, _value(file, line, raw)


def copy(file: Opened, out: Output, keeps: Callable[[], bool]) -> int:
    """Write the lines that ``keeps``, asked once for each record, wants, byte for byte; return how many."""
    mark, content = file.bytes()
    out.write(mark)
    kept = 0
    for line, raw in _lines(file, content):
        _value(file, line, raw)
        if keeps():
            out.write(raw)
            kept += 1
    return kept


def _lines(file: Opened, content: io.BufferedIOBase) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, with their ends."""
    readline = content.readline
    line = 0
    while raw := readline(LARGEST + 1):
        line += 1
        if len(raw) > LARGEST:
            raise file.error(line, f"a line of more than {LARGEST >> 20} MiB; {_ALLOWED}, none of them longer")
        if not raw.isspace():
            yield line, raw


def _value(file: Opened, line: int, raw: bytes) -> Any:
    try:
        return _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _lenient(file, line, raw, error)


def _lenient(file: Opened, line: int, raw: bytes, first: Exception) -> Any:
    """Return what Python's own parser makes of a line: it takes NaN, Infinity and halves of surrogate pairs.

    Python writes them, so data sets have them; each half becomes U+FFFD, for no UTF-8 text can hold it.
    """
    try:
        return sound(json.loads(raw.decode(), object_pairs_hook=members))
    except UnicodeDecodeError as error:
        raise file.error(line, f"not UTF-8 text (byte {error.start + 1} of the line); {_ALLOWED}, in UTF-8") from error
    except RecursionError as error:
        raise file.error(line, f"a record is nested too deeply; {_ALLOWED}, less nested") from error
    except ValueError as error:
        raise file.error(line, f"not JSON: {first}; {_ALLOWED}") from error


def sound(value: Any) -> Any:
    """Return ``value`` with U+FFFD for each half of a surrogate pair in its texts and names."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [sound(item) for item in value]
    if isinstance(value, dict):
        return members([(sound(name), sound(item)) for name, item in value.items()])
    return value
