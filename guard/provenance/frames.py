"""The frames of a segment: what each holds, and its bytes (format version 2).

A frame is length and CRC-32 of a payload (4 bytes each, all numbers little-endian) and the payload; its first byte says
what it is. ``Begin`` says whose file it is, with which keys it was made and what came before it; a ``Label`` names what
outputs were answered under, before the first that refers to it; an ``Outputs`` frame holds any number of outputs, one
after the other; ``Totals`` counts what the file should hold; ``End`` closes it. A segment is untrusted input: nothing
here reads beyond a payload, and bytes that are no frame raise ``Damaged``.
"""

import re
import struct
from collections.abc import Callable, Iterator
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from guard.provenance.packing import read_keys, read_varint, varint
from guard.provenance.receipt import DIGEST_SIZE

MAGIC = b"GUARDSEG"
VERSION = 2
LARGEST = 16 * 1024 * 1024
"""Bytes of a payload; a longer one is damage."""
ATTRIBUTABLE, ECHOED, FINGERPRINTED = 1, 2, 4
BEGIN, LABEL, OUTPUTS, TOTALS, END = 1, 2, 3, 4, 5
"""First bytes of payloads."""
HEADER = Struct("<II")

_PACKED, _MANY = 8, 15
"""Marks of an output's first byte: flags, whether the receipt is packed, and the number of digests if below 15."""
_BEGIN, _LABEL, _TOTALS, _END = Struct("<BB8s8sd"), Struct("<BI"), Struct("<BQQQ"), Struct("<Bd")
_UNRECORDED = b"\0"
"""Ends a beginning after which nothing is recorded; others end without it."""
_PACKED_RECEIPT = re.compile(r"r-([0-9a-f]{20})-(0|[1-9][0-9]{0,8})")


class Damaged(ValueError):
    """Bytes that no writer of this version made."""


class Begin(NamedTuple):
    """Whose file this is."""

    instance: str
    key: bytes
    """8 bytes that tell keys apart without telling anything about them: see ``months.segment_key_id``."""
    time: float
    boot: bytes
    """8 bytes of the id of the machine's boot; zeros where the system has none."""
    before: str
    """The segment that the same instance wrote before this one, as
    ``2026-11/guard-0.20261118T110640.000000Z.segment``; empty for the first. Where segments were taken away there may
    be several that none after them names: all of them, a line each."""
    recorded: bool = True
    """False if receipts were off: then answers are counted as dropped, and nothing else is known of them."""


class Label(NamedTuple):
    """What an output was answered under, by the number outputs refer to: 0, 1, 2 ... in the order of the file."""

    number: int
    model: str
    """The served name."""
    licenses: tuple[str, ...]
    """The ids of the stack."""
    tenant: str | None


class Output(NamedTuple):
    """One answered choice: no text, only what recognizes it."""

    receipt: str
    time: float
    """Epoch seconds, kept to the millisecond."""
    label: int
    flags: int
    """``ATTRIBUTABLE``, ``ECHOED`` (most of it stands in the prompt), ``FINGERPRINTED``."""
    words: int
    prompt: int
    """16 bits that tell distinct prompts apart; 0 where no prompt is known."""
    digests: bytes
    """16 bytes for each released text of the choice, and for all of them in one if there are several."""
    keys: bytes
    """Sealed grams, packed: see ``scan.unpack``."""

    def each_digest(self) -> list[bytes]:
        """Return the digests one by one."""
        return [self.digests[at : at + DIGEST_SIZE] for at in range(0, len(self.digests), DIGEST_SIZE)]


class Totals(NamedTuple):
    """Choices since the file began. Those answered but neither written nor dropped were still waiting."""

    answered: int
    written: int
    dropped: int


class End(NamedTuple):
    """Nothing follows."""

    time: float


Frame = Begin | Label | Totals | End


def framed(payload: bytes) -> bytes:
    """Return ``payload`` as a frame."""
    return HEADER.pack(len(payload), crc32(payload)) + payload


def payloads(data: bytes | bytearray, at: int) -> Iterator[tuple[int, int]]:
    """Yield where each payload begins and ends, from the frame at ``at`` on, up to the first that is not complete.

    Raises Damaged for a frame of no bytes or too many, or with another checksum.
    """
    view = memoryview(data)
    while len(data) - at >= HEADER.size:
        length, checksum = HEADER.unpack_from(data, at)
        if not 0 < length <= LARGEST:
            raise Damaged(f"a frame of {length} bytes; allowed: 1 to {LARGEST}")
        start, at = at + HEADER.size, at + HEADER.size + length
        if at > len(data):
            return
        if crc32(view[start:at]) != checksum:
            raise Damaged("another checksum")
        yield start, at


def encode(frame: Frame) -> bytes:
    """Return the payload of ``frame``."""
    match frame:
        case Begin():
            head = _BEGIN.pack(BEGIN, VERSION, frame.key, frame.boot, frame.time)
            return head + _text(frame.instance) + _text(frame.before) + (b"" if frame.recorded else _UNRECORDED)
        case Label():
            names = varint(len(frame.licenses)) + b"".join(map(_text, frame.licenses))
            tenant = b"\0" if frame.tenant is None else b"\1" + _text(frame.tenant)
            return _LABEL.pack(LABEL, frame.number) + _text(frame.model) + names + tenant
        case Totals():
            return _TOTALS.pack(TOTALS, *frame)
        case End():
            return _END.pack(END, frame.time)


def decode(payload: bytes) -> Frame:
    """Return the frame of ``payload``, which holds no outputs. Raises Damaged."""
    try:
        frame, end = _DECODERS[payload[0]](payload)
    except (IndexError, KeyError, ValueError, struct.error) as error:
        raise Damaged(str(error)) from error
    if end != len(payload):
        raise Damaged(f"{len(payload) - end} bytes too many")
    return frame


def version(payload: bytes) -> int:
    """Return the version of a file whose first payload this is. Raises Damaged if it is nothing of the kind."""
    if payload[:1] == b"\x95":  # version 1: a MessagePack array of five
        return 1
    if len(payload) < 2 or payload[0] != BEGIN:
        raise Damaged("no beginning")
    return payload[1]


def receipt_bytes(receipt: str) -> tuple[bool, bytes]:
    """Return a receipt's id as an output holds it, and whether that is packed: ten bytes and a number."""
    packed = _PACKED_RECEIPT.fullmatch(receipt)
    if packed is None:
        return False, _text(receipt)
    return True, bytes.fromhex(packed[1]) + varint(int(packed[2]))


def encode_output(output: Output) -> bytes:
    """Return the bytes of one output inside an ``Outputs`` frame; their payload is ``OUTPUTS`` and one or more of them.

    Raises ValueError or OverflowError for numbers out of range.
    """
    if output.flags >> 3:
        raise ValueError(f"flags {output.flags}; allowed: 0 to 7")
    packed, receipt = receipt_bytes(output.receipt)
    digests = len(output.digests) // DIGEST_SIZE
    few = min(digests, _MANY)
    return b"".join((
        bytes((output.flags | _PACKED * packed | few << 4,)),
        varint(digests) if few == _MANY else b"",
        varint(output.label),
        varint(output.words),
        output.prompt.to_bytes(2, "little"),
        round(output.time * 1000).to_bytes(6, "little"),
        receipt,
        output.digests,
        output.keys or b"\0",
    ))  # fmt: skip


class Place(NamedTuple):
    """Where the parts of an output stand in the bytes of its frame."""

    end: int
    receipt: slice
    """The bytes of the receipt: ten and a number if it is packed, otherwise the length and text of it."""
    digests: slice
    keys: slice
    flags: int
    packed: bool
    label: int
    words: int
    prompt: int
    time: float
    values: list[int]
    """The keys, unpacked."""


def place(data: bytes | bytearray, at: int, end: int) -> Place:
    """Return where the output at ``at`` stands, in a payload that ends at ``end``. Raises Damaged."""
    try:
        head = data[at]
        few = head >> 4
        at += 1
        if few == _MANY:
            few, at = read_varint(data, at, end)
        label, at = read_varint(data, at, end)
        words, at = read_varint(data, at, end)
        prompt, time = int.from_bytes(data[at : at + 2], "little"), int.from_bytes(data[at + 2 : at + 8], "little")
        receipt = at = at + 8
        packed = bool(head & _PACKED)
        size, at = (10, at) if packed else read_varint(data, at, end)
        at += size
        if packed:
            _, at = read_varint(data, at, end)
        digests = at
        keys = at = at + few * DIGEST_SIZE
        values, at = read_keys(data, at, end)
    except (IndexError, ValueError) as error:
        raise Damaged(str(error)) from error
    return Place(
        at, slice(receipt, digests), slice(digests, keys), slice(keys, at),
        head & 7, packed, label, words, prompt, time / 1000, values,
    )  # fmt: skip


def read_output(data: bytes | bytearray, at: int, end: int) -> tuple[Output, int]:
    """Return the output at ``at`` in a payload that ends at ``end``, and where the next one begins. Raises Damaged."""
    found = place(data, at, end)
    receipt = bytes(data[found.receipt])
    if found.packed:
        number, _ = read_varint(receipt, 10, len(receipt))
        name = f"r-{receipt[:10].hex()}-{number}"
    else:
        name, _ = _read_text(receipt, 0)
    keys = bytes(data[found.keys]) if found.values else b""
    output = Output(
        name, found.time, found.label, found.flags, found.words, found.prompt, bytes(data[found.digests]), keys
    )
    return output, found.end


def _text(text: str) -> bytes:
    octets = text.encode(errors="replace")
    return varint(len(octets)) + octets


def _read_text(data: bytes, at: int) -> tuple[str, int]:
    size, at = read_varint(data, at, len(data))
    if at + size > len(data):
        raise ValueError("a text is cut")
    return data[at : at + size].decode(errors="replace"), at + size


def _decode_begin(payload: bytes) -> tuple[Begin, int]:
    _, made_by, key, boot, time = _BEGIN.unpack_from(payload)
    if made_by != VERSION:
        raise ValueError(f"version {made_by}; allowed: {VERSION}")
    instance, at = _read_text(payload, _BEGIN.size)
    before, at = _read_text(payload, at)
    recorded = payload[at:] != _UNRECORDED
    return Begin(instance, key, time, boot, before, recorded), at if recorded else len(payload)


def _decode_label(payload: bytes) -> tuple[Label, int]:
    _, number = _LABEL.unpack_from(payload)
    model, at = _read_text(payload, _LABEL.size)
    count, at = read_varint(payload, at, len(payload))
    licenses = []
    for _ in range(count):
        license_, at = _read_text(payload, at)
        licenses.append(license_)
    tenant, known, at = None, payload[at], at + 1
    if known:
        tenant, at = _read_text(payload, at)
    return Label(number, model, tuple(licenses), tenant), at


def _decode_totals(payload: bytes) -> tuple[Totals, int]:
    return Totals(*_TOTALS.unpack_from(payload)[1:]), _TOTALS.size


def _decode_end(payload: bytes) -> tuple[End, int]:
    return End(_END.unpack_from(payload)[1]), _END.size


_DECODERS: dict[int, Callable[[bytes], tuple[Frame, int]]] = {
    BEGIN: _decode_begin,
    LABEL: _decode_label,
    TOTALS: _decode_totals,
    END: _decode_end,
}
