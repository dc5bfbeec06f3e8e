"""Parquet, by pyarrow (the extra ``guard[parquet]``): rows of any columns, nested ones too.

Pages are read as they are needed and rows become Python objects a few at a time, so that neither the size of a row
group nor that of the file matters. Columns without any text are not read at all.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from guard.provenance.formats.opened import Opened, Output
from guard.provenance.record import is_text

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

BATCH_ROWS, BATCH_BYTES = 256, 1 << 23
"""Rows that are held at once, at most; fewer where rows are so large that they would take more bytes than this."""
GROUP_BYTES = 1 << 26
"""Bytes of a row group of a copy, about, uncompressed."""


def items(file: Opened) -> Iterator[tuple[int, Any]]:
    """Yield the number of every row, from 1, and its columns of text by their names."""
    with _table(file) as table:
        from guard.provenance.formats.columns import has_text  # noqa: PLC0415 - needs the extra

        names = [field.name for field in table.schema_arrow if has_text(field.type) or is_text(field.name)]
        done = 0
        for batch in _batches(file, table, names):
            with _reading(file):
                columns = [_column(file, name, batch.column(name), done) for name in names]
            rows = zip(*columns, strict=True) if columns else ((),) * batch.num_rows
            for row, values in enumerate(rows, done + 1):
                yield row, dict(zip(names, values, strict=True))
            done += batch.num_rows
            file.count = file.size * done // table.metadata.num_rows
            file.moved()
        file.count = file.size


def copy(file: Opened, out: Output, keeps: Callable[[], bool]) -> int:
    """Write the rows that ``keeps``, asked once for each, wants, with the same schema and compression.

    Returns how many they are.
    """
    kept = 0
    with _table(file) as table:
        import pyarrow as pa  # noqa: PLC0415 - the extra
        import pyarrow.parquet as pq  # noqa: PLC0415 - the extra

        with pq.ParquetWriter(out, table.schema_arrow, compression=_compression(table)) as writer:
            group: list[pa.RecordBatch] = []
            size = 0
            for batch in _batches(file, table, None):
                for begin, end in _runs([keeps() for _ in range(batch.num_rows)]):
                    group.append(batch.slice(begin, end - begin))
                    size += group[-1].nbytes
                    kept += end - begin
                if size > GROUP_BYTES:
                    writer.write_table(pa.Table.from_batches(group))
                    group, size = [], 0
            writer.write_table(pa.Table.from_batches(group, table.schema_arrow))
    return kept


@contextmanager
def _reading(file: Opened) -> Iterator[None]:
    """Turn what pyarrow says of a file that it cannot read into a DataError."""
    import pyarrow as pa  # noqa: PLC0415 - the extra

    try:
        yield
    except (pa.ArrowException, OSError, ValueError, IndexError) as error:
        what = (str(error).splitlines() or ["damaged"])[0][:200]
        raise file.error(0, f"not Parquet that can be read: {what}; allowed: a whole Parquet file") from error


@contextmanager
def _table(file: Opened) -> "Iterator[pq.ParquetFile]":
    try:
        import pyarrow.parquet as pq  # noqa: PLC0415 - the extra
    except ImportError as error:
        raise file.error(0, "Parquet needs guard[parquet]; allowed without it: the other formats") from error
    if not file.size:
        raise file.error(0, "is empty; allowed: a file with a record in it")
    with _reading(file):
        table = pq.ParquetFile(file.raw, buffer_size=1 << 20, page_checksum_verification=True)
        names = table.schema_arrow.names
    if len(set(names)) < len(names):
        raise file.error(0, "the schema names a column twice; allowed: each column once")
    with table:
        yield table


def _batches(file: Opened, table: "pq.ParquetFile", names: list[str] | None) -> "Iterator[pa.RecordBatch]":
    metadata = table.metadata
    with _reading(file):  # what the caller does with a batch is not within
        for group in range(metadata.num_row_groups):
            facts = metadata.row_group(group)
            each = facts.total_byte_size // max(facts.num_rows, 1)
            rows = max(1, min(BATCH_ROWS, BATCH_BYTES // max(each, 1)))
            yield from table.iter_batches(rows, row_groups=[group], columns=names, use_threads=False)


def _runs(kept: list[bool]) -> Iterator[tuple[int, int]]:
    """Yield where each run of rows that are kept begins and ends."""
    begin = None
    for index, keep in enumerate([*kept, False]):
        if keep and begin is None:
            begin = index
        elif not keep and begin is not None:
            yield begin, index
            begin = None


def _compression(table: "pq.ParquetFile") -> str:
    """Return the compression of the first column, which is that of all in nearly every file."""
    metadata = table.metadata
    if not metadata.num_row_groups or not metadata.num_columns:
        return "snappy"
    name = str(metadata.row_group(0).column(0).compression).lower()
    return "none" if name == "uncompressed" else name


def _column(file: Opened, name: str, column: "pa.Array", done: int) -> list[Any]:
    """Return the values of a column whose first row is number ``done``, from 0.

    Raises DataError with the first row that is not UTF-8.
    """
    from guard.provenance.formats.columns import values  # noqa: PLC0415 - needs the extra

    try:
        return values(column)
    except UnicodeDecodeError:
        for index in range(len(column)):
            try:
                values(column.slice(index, 1))
            except UnicodeDecodeError as error:
                what = f"column {name}: not UTF-8 text; allowed: UTF-8"
                raise file.error(done + index + 1, what) from error
        raise
