"""Columns of Arrow as Python objects: the texts in them, at any depth, and None for what is no text.

Imported only where a Parquet file is read, for pyarrow is an extra.
"""

from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.types as kinds

_TEXT = (kinds.is_string, kinds.is_large_string, kinds.is_string_view)
_BYTES = (kinds.is_binary, kinds.is_large_binary, kinds.is_binary_view, kinds.is_fixed_size_binary)


def has_text(type_: pa.DataType) -> bool:
    """Return whether there can be any text in a column of this type; bytes may be text that some writers store so."""
    if isinstance(type_, pa.BaseExtensionType):
        return has_text(type_.storage_type)
    if kinds.is_dictionary(type_):
        return has_text(type_.value_type)
    if any(test(type_) for test in (*_TEXT, *_BYTES)):
        return True
    return any(has_text(type_.field(index).type) for index in range(type_.num_fields))


def values(column: pa.Array) -> list[Any]:
    """Return a value for every row: texts, in lists and dictionaries, as a JSON document would have them.

    Raises UnicodeDecodeError where a column of text holds something else.
    """
    type_ = column.type
    if not has_text(type_):
        return [None] * len(column)
    if isinstance(column, pa.ExtensionArray):
        return values(column.storage)
    if kinds.is_dictionary(type_):
        return values(column.dictionary_decode())
    if kinds.is_struct(type_):
        names = [type_.field(index).name for index in range(type_.num_fields)]
        columns = [values(field) for field in column.flatten()]
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    if kinds.is_map(type_):
        return _maps(column)
    if type_.num_fields:
        return _lists(values(column.flatten()), column.value_lengths().to_pylist())
    texts = column.to_pylist()
    return [_text(value) for value in texts] if any(test(type_) for test in _BYTES) else texts


def _maps(column: pa.MapArray) -> list[dict[str, Any]]:
    keys = values(column.keys) if has_text(column.type.key_type) else column.keys.to_pylist()
    names, items = [str(key) for key in keys], values(column.items)
    return [
        dict(zip(names[begin:end], items[begin:end], strict=True))
        for begin, end in pairwise(column.offsets.to_pylist())
    ]


def _lists(items: list[Any], lengths: list[int | None]) -> list[Any]:
    """Return ``items`` cut into lists of the given lengths; a row without a list has the length None."""
    lists: list[Any] = []
    at = 0
    for length in lengths:
        lists.append(None if length is None else items[at : at + length])
        at += length or 0
    return lists


def _text(value: bytes | None) -> str | None:
    """Return the text that bytes are in UTF-8; None if they are none."""
    try:
        return value.decode() if value is not None else None
    except UnicodeDecodeError:
        return None
