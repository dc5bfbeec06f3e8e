"""Columns of Arrow as Python objects: the texts in them, at any depth; None, or UNSEEN, for what is no text.

Imported only where a Parquet file is read, for pyarrow is an extra.
"""

from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.types as kinds

from guard.provenance.formats.encoding import text_of
from guard.provenance.formats.members import members
from guard.provenance.record import is_text

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
    fields = [type_.field(index) for index in range(type_.num_fields)]
    return any(has_text(field.type) or is_text(field.name) for field in fields)


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
        names = list(members([(type_.field(index).name, None) for index in range(type_.num_fields)]))
        columns = [values(field) for field in column.flatten()]
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    if kinds.is_map(type_):
        return _maps(column)
    if type_.num_fields:
        return _lists(values(column.flatten()), column.value_lengths().to_pylist())
    texts: list[Any] = column.to_pylist()
    if not any(test(type_) for test in _BYTES):
        return texts
    return [text_of(value) if value is not None else None for value in texts]


def _maps(column: pa.MapArray) -> list[dict[str, Any]]:
    keys = values(column.keys) if has_text(column.type.key_type) else column.keys.to_pylist()
    names, items = [str(key) for key in keys], values(column.items)
    return [
        members(list(zip(names[begin:end], items[begin:end], strict=True)))
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
