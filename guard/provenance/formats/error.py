"""What is wrong with a data set, and where."""


class DataError(Exception):
    """A data set that cannot be read: ``file:line: what was found; what is allowed``; the line 0 is none in particular.

    For a Parquet file the line is the row.
    """

    def __init__(self, file: str, line: int, what: str) -> None:
        super().__init__(f"{file}:{line}: {what}" if line else f"{file}: {what}")
        self.file, self.line, self.what = file, line, what


class Unreadable(Exception):
    """Bytes that cannot be had; a line is not known where they are read, but where records are made of them."""
