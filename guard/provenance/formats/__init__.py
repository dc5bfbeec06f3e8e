"""Reads and copies data sets record by record, in memory that does not grow with them.

JSON lines, JSON, CSV, TSV (each also compressed by gzip) and Parquet; files, folders and standard input.
"""

from guard.provenance.formats.clean import check_target, copy_without
from guard.provenance.formats.error import DataError
from guard.provenance.formats.format import ALLOWED, FORMATS
from guard.provenance.formats.records import read
from guard.provenance.formats.source import Part, Read, Source

__all__ = ["ALLOWED", "FORMATS", "DataError", "Part", "Read", "Source", "check_target", "copy_without", "read"]
