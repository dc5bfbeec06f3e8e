"""Keys packed: the gaps of an ascending list, Golomb-Rice coded (Rice and Plaut, 1971): 3.97 bytes a key for 62.

Layout, bits from the least significant one on: the number of keys (LEB128); for each key the low bits of its gap; for
each the rest of its gap in zeros, ended by a one; zeros up to the next byte. Low bits stand apart from the rest, so
each is found without having read those before it. How many bits are low follows from the number of keys.

This is the twin, in Python, of what ``_scan.c`` does; ``guard.provenance.scan`` gives the faster of the two.
"""

from array import array
from collections.abc import Iterable
from sys import byteorder

KEY_BITS = 36
MOST_KEYS = 1 << 24
"""Keys of one list; more are damage."""


def pack(keys: bytes) -> bytes:
    """Return ``keys`` (8 bytes each, little-endian, below 2 ** 36, in any order) packed: each once; b"" for none.

    Raises ValueError for what is no such list.
    """
    values = sorted(set(numbers(keys)))
    if values and values[-1] >> KEY_BITS:
        raise ValueError(f"a key of {values[-1].bit_length()} bits; allowed: {KEY_BITS}")
    if not values:
        return b""
    count, low = len(values), KEY_BITS - len(values).bit_length()
    gaps = [value - before - 1 for before, value in zip([-1, *values], values, strict=False)]
    mask = (1 << low) - 1
    # As digits of base two, the first bit last: one conversion of the whole is linear, a shift per key is not.
    rest = "".join("0" * (gap >> low) + "1" for gap in gaps)
    lows = "".join(format(gap & mask, f"0{low}b") for gap in reversed(gaps))
    bits = rest[::-1] + lows
    return varint(count) + int(bits, 2).to_bytes(-(-len(bits) // 8), "little")


def unpack(packed: bytes) -> bytes:
    """Return packed keys as 8 bytes each, little-endian, ascending. Raises ValueError for what ``pack`` never makes."""
    if not packed:
        return b""
    values, end = read_keys(packed, 0, len(packed))
    if end != len(packed) or not values:
        raise ValueError(f"{len(packed)} bytes are no packed keys")
    return _octets(values)


def read_keys(data: bytes | bytearray, at: int, end: int) -> tuple[list[int], int]:
    """Return the packed keys that begin at ``at``, and where they end. Raises ValueError if that is behind ``end``."""
    count, at = read_varint(data, at, end)
    low = KEY_BITS - count.bit_length()
    lows = at * 8
    rest = lows + count * low
    if count > MOST_KEYS or rest + count > end * 8:
        raise ValueError(f"{count} keys in {end - at} bytes")
    first, last = rest // 8, min(end, (rest + 3 * count + 7) // 8)
    bits = format(int.from_bytes(data[first:last], "little") | 1 << 8 * (last - first), "b")[:0:-1][rest % 8 :]
    zeros = [len(run) for run in bits.split("1", count)]
    if len(zeros) <= count:
        raise ValueError(f"fewer than {count} keys")
    values, value, mask = [], -1, (1 << low) - 1
    for number in range(count):
        bit = lows + number * low
        gap = int.from_bytes(data[bit // 8 : bit // 8 + 6], "little") >> bit % 8 & mask
        value += (zeros[number] << low) + gap + 1
        values.append(value)
    stop = rest + sum(zeros[:count]) + count
    if value >= 1 << KEY_BITS or (stop % 8 and data[stop // 8] >> stop % 8):
        raise ValueError(f"a key of more than {KEY_BITS} bits, or bits behind the last")
    return values, (stop + 7) // 8


def varint(number: int) -> bytes:
    """Return ``number`` in seven bits a byte, the low ones first. Raises ValueError if it takes more than 32 bits."""
    if number >> 32:
        raise ValueError(f"{number}; allowed: 0 to {2**32 - 1}")
    octets = bytearray()
    while number > 0x7F:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    octets.append(number)
    return bytes(octets)


def read_varint(data: bytes | bytearray, at: int, end: int) -> tuple[int, int]:
    """Return the number at ``at`` and where it ends. Raises ValueError if it is cut, too large or needlessly long."""
    number = shift = 0
    while at < end and shift < 35:
        octet = data[at]
        at += 1
        number |= (octet & 0x7F) << shift
        if octet < 0x80:
            if number >> 32 or (shift and not octet):
                break
            return number, at
        shift += 7
    raise ValueError("no number")


def numbers(keys: bytes) -> "array[int]":
    """Return keys as numbers. Raises ValueError if they are not 8 bytes each."""
    if len(keys) % 8:
        raise ValueError(f"{len(keys)} bytes are no keys; allowed: a multiple of 8")
    values = array("Q", keys)
    if byteorder == "big":
        values.byteswap()
    return values


def _octets(values: Iterable[int]) -> bytes:
    packed = array("Q", values)
    if byteorder == "big":
        packed.byteswap()
    return packed.tobytes()
