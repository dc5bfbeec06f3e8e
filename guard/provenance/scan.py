"""Packed keys, and the search of segments for the texts of a data set: compiled where that could be, or the twins.

The methods are described at ``guard.provenance.scan_twin.Postings``; both forms give the same, bit for bit.
"""

from typing import TYPE_CHECKING, NamedTuple

from guard.provenance.frames import Label, Output
from guard.provenance.scan_twin import COMMON, DIGEST, MOST, RECEIPT, TEXTS

if TYPE_CHECKING:
    from guard.provenance._scan import Postings, encode_output, pack, unpack
else:
    try:
        from guard.provenance._scan import Postings, encode_output, pack, unpack
    except ImportError:  # an install needs no compiler
        from guard.provenance.frames import encode_output
        from guard.provenance.scan_twin import Postings, pack, unpack

__all__ = ["COMMON", "DIGEST", "MOST", "RECEIPT", "TEXTS", "Candidate", "Postings", "encode_output", "pack", "unpack"]


class Candidate(NamedTuple):
    """An output that may be where a text of the data set comes from."""

    output: Output
    label: Label
    text: int
    mask: int
    """Bit i: the text's i-th key stands in the output. Bits 127 and 126: 36 bits of a digest, a receipt are equal."""
