"""A ledger's users in a file, to be merged into another ledger: several gateways without double counting.

    12 bytes   ``GUARD-USERS`` and a line feed
     4 bytes   length of the head, little-endian
     n bytes   the head: JSON (``Head``), padded with spaces
     8 bytes   a user, little-endian and signed; the users of the first license in the head, then of the second ...
    32 bytes   BLAKE2b of the digests of what is before the users, and of the users

Users are pseudonyms, so only ledgers under the same key can be merged; the key itself is not in the file.
"""

import json
import os
import re
import sys
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from itertools import islice
from typing import BinaryIO, NamedTuple, Never

from guard.usage.declaration import Declaration, Part
from guard.usage.ledger import Ledger, Scope
from guard.usage.period import Calendar, CalendarError, Kind, kind_of, month_of

MAGIC = b"GUARD-USERS\n"
FORMAT = 1
LONGEST_HEAD = 1 << 20
CHUNK = 8192
"""Users that are in memory, and in one write to the ledger, at a time."""
_START = len(MAGIC) + 4
_DIGEST = 32
_USER = 8
_KEY = re.compile(r"[0-9a-f]{16}")

Progress = Callable[[int], None]
"""Told how many users were done since it was told last."""


class InterchangeError(ValueError):
    """A file that is not taken, or a ledger nothing is taken from; the text says what was found and where."""


@dataclass(frozen=True, slots=True)
class Share:
    """The users of one license in a file."""

    license: str
    users: int
    unidentified: Mapping[str, int]
    """Answered requests that named nobody, by the gateway they were counted at."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a file says of itself."""

    zone: str
    period: str
    key: str
    """Fingerprint of the key that the users are pseudonyms under."""
    source: str
    """The gateway, as the people who run it call it."""
    made: str
    """When: ISO 8601 with an offset."""
    shares: tuple[Share, ...]

    @property
    def users(self) -> int:
        """Users in the file; who is counted under two licenses is two."""
        return sum(share.users for share in self.shares)


class Merged(NamedTuple):
    """What a merge did to one license in the file's period."""

    license: str
    read: int
    new: int | None
    """Users who were not in the ledger before; None where it cannot tell."""
    users: int
    """Users of the ledger afterwards."""


def write_users(
    file: BinaryIO, ledger: Ledger, period: str, licenses: Sequence[str], *, source: str, made: str, progress: Progress
) -> Head:
    """Write the users of ``licenses`` in ``period`` to ``file``, which is empty and can seek. Returns its head.

    Users that come in meanwhile may be in it or not. Raises InterchangeError where the ledger does not know who its
    users are, LedgerUnavailable, and OSError.
    """
    if not ledger.exact:
        raise InterchangeError(
            f"{period}: the ledger estimates, it does not know who its users are; allowed: an exact ledger, or its "
            "number declared (guard usage import --declared)"
        )
    key, zone = ledger.key_of(month_of(period)), ledger.zone()
    if key is None or zone is None:
        raise InterchangeError(f"{period}: the ledger has counted nobody in it")
    totals, elsewhere = ledger.totals(period), ledger.declarations(period)
    gateways = {
        name: {each.source: each.unidentified for each in elsewhere
               if each.license == name and each.part is Part.GATEWAY and each.source != source and each.unidentified}
        for name in licenses
    }  # fmt: skip
    shares = [
        Share(name, totals[name].users, gateways[name] | {source: totals[name].unidentified}) for name in licenses
    ]
    head = Head(zone, period, key, source, made, tuple(shares))
    room = len(_encoded(head)) + 20 * len(shares)  # the number of users may have more digits in the end
    file.write(bytes(_START + room))
    digest = blake2b(digest_size=_DIGEST)
    for place, share in enumerate(shares):
        written = 0
        for users in ledger.pseudonyms(Scope(period, share.license)):
            content = _packed(users)
            file.write(content)
            digest.update(content)
            written += len(users)
            progress(len(users))
        if written < share.users:
            raise InterchangeError(
                f"{period}: the ledger has forgotten who the {share.users} users of {share.license} are ({written} are "
                "left; `usage.keep` says for how many months it knows); allowed: its number declared (guard usage "
                "import --declared)"
            )
        shares[place] = Share(share.license, written, share.unidentified)
    head = Head(zone, period, key, source, made, tuple(shares))
    front = MAGIC + room.to_bytes(4, "little") + _encoded(head).ljust(room)
    file.write(_seal(front, digest.digest()))
    file.seek(0)
    file.write(front)
    return head


def seal_of(file: BinaryIO) -> str:
    """Return the digest that ``file``, which ``check`` has read, ends with, in hexadecimal. Raises OSError."""
    file.seek(-_DIGEST, os.SEEK_END)
    return file.read(_DIGEST).hex()


def check(file: BinaryIO, progress: Progress) -> Head:
    """Return the head of ``file`` after reading all of it: it is whole and as it was written.

    Raises InterchangeError with what was found and at which byte, OSError.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    front = file.read(_START)
    if front[: len(MAGIC)] != MAGIC[: len(front)] or not front:
        _refuse(0, f"it begins with {front[: len(MAGIC)]!r}", f"{MAGIC!r}, as guard usage export writes")
    if len(front) < _START:
        _truncated(size, f"at least {_START}")
    length = int.from_bytes(front[len(MAGIC) :], "little")
    if length > LONGEST_HEAD:
        _refuse(len(MAGIC), f"a head of {length} bytes", f"at most {LONGEST_HEAD}")
    text = file.read(length)
    if len(text) < length:
        _truncated(size, f"at least {_START + length}")
    head = _decoded(text)
    whole = _START + length + head.users * _USER + _DIGEST
    if size < whole:
        _truncated(size, str(whole))
    if size > whole:
        _refuse(whole, f"{size - whole} more bytes than the head announces", f"a file of {whole} bytes")
    digest = blake2b(digest_size=_DIGEST)
    for content in _contents(file, head.users):
        digest.update(content)
        progress(len(content) // _USER)
    if file.read(_DIGEST) != _seal(front + text, digest.digest()):
        _refuse(whole - _DIGEST, "a digest that is not that of the bytes before it: some were changed", "the file anew")
    return head


def fit(head: Head, ledger: Ledger, calendar: Calendar, today: str, key: str | None) -> None:
    """Raise InterchangeError if a file with ``head`` cannot be merged into ``ledger``, whose users are under ``key``.

    Its zone and key have to be the ledger's (``key`` None: it has none yet in that month), its period has to have begun
    on ``today``, and the ledger has to know who its users are.
    """
    if head.zone != calendar.zone:
        raise InterchangeError(
            f"it counts in zone {head.zone}, the ledger in {calendar.zone}: their months are not the same; allowed: "
            "its total declared (--as-declared)"
        )
    if not begun(head.period, today):
        raise InterchangeError(f"its users are of {head.period}, and it is {today} in zone {calendar.zone}")
    if key not in {None, head.key}:
        raise InterchangeError(
            f"its users of {month_of(head.period)} are pseudonyms under key {head.key}, the ledger's under {key}: who "
            "is in both would count twice; allowed: gateways that share a key, or its total declared (--as-declared)"
        )
    for share in head.shares:
        for period in windows(head.period, calendar, today) if ledger.exact else ():
            scope = Scope(period, share.license)
            if (users := ledger.users(scope)) and not any(islice(ledger.pseudonyms(scope), 1)):
                raise InterchangeError(
                    f"{period}: the ledger has forgotten who its {users} users of {share.license} are, so nobody can "
                    "tell who is in both; allowed: the file's total declared (--as-declared)"
                )


def merge(
    file: BinaryIO, head: Head, ledger: Ledger, calendar: Calendar, today: str, progress: Progress
) -> list[Merged]:
    """Add the users of ``file``, whose ``head`` ``check`` returned and ``fit``s, to ``ledger``; twice adds nothing.

    Users of a day are added to its month and rolling windows up to ``today`` too, as ``calendar`` has them. Requests
    without a user become declarations of the gateways they were counted at. Growth by day is not touched: nobody knows
    which day a user of a whole month came. Raises LedgerUnavailable, LedgerMismatch and OSError: then some users may be
    added, and it may be repeated.
    """
    targets = windows(head.period, calendar, today)
    ledger.bind(head.zone)
    ledger.claim_key(month_of(head.period), head.key)
    for declaration in unidentified(head):
        ledger.declare(declaration)
    file.seek(0)
    length = int.from_bytes(file.read(_START)[len(MAGIC) :], "little")
    file.seek(_START + length)
    merged = []
    for share in head.shares:
        own = Scope(head.period, share.license)
        new: int | None = 0
        for content in _contents(file, share.users):
            users = _unpacked(content)
            written = ledger.write(
                {Scope(period, share.license): users for period in targets}, {}, owner="import", day=None
            )
            gained = written[own].new
            new = None if gained is None or new is None else new + gained
            progress(len(users))
        merged.append(Merged(share.license, share.users, new, ledger.users(own)))
    return merged


def begun(period: str, today: str) -> bool:
    """Return True if ``period``, or the day that it ends with, is that of the day ``today`` or an earlier one."""
    last = period[: len(today)]
    return last <= today[: len(last)]


def unidentified(head: Head) -> Iterator[Declaration]:
    """Yield what the file says of requests that named nobody, one declaration for each license and gateway."""
    for share in head.shares:
        for source, requests in share.unidentified.items():
            yield Declaration(
                share.license, head.period, source, Part.GATEWAY, users=0, unidentified=requests, owner=head.source,
                stated=head.made[:10],
            )  # fmt: skip


def windows(period: str, calendar: Calendar, today: str) -> tuple[str, ...]:
    """Return the periods that users of ``period`` are users of, as far as a file of that period can tell."""
    return calendar.windows(period, today) if kind_of(period) is Kind.DAY else (period,)


def _encoded(head: Head) -> bytes:
    return json.dumps({"format": FORMAT, **asdict(head)}, ensure_ascii=False, separators=(",", ":")).encode()


def _decoded(text: bytes) -> Head:
    try:
        fields = json.loads(text)
        if not isinstance(fields, dict) or "format" not in fields:
            raise ValueError("no object with a format")
        if fields["format"] != FORMAT:
            _refuse(_START, f"format {fields['format']!r}", f"{FORMAT}, which this version of Guard reads")
        shares = tuple(Share(**share) for share in fields.pop("shares"))
        del fields["format"]
        head = Head(**fields, shares=shares)
        _sound(head)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        if isinstance(error, InterchangeError):
            raise
        _refuse(_START, f"a head that does not read ({error})", "one that guard usage export wrote")
    return head


def _sound(head: Head) -> None:
    """Raise ValueError unless ``head`` is one that ``write_users`` writes."""
    texts = (head.zone, head.period, head.key, head.source, head.made, *(share.license for share in head.shares))
    if not all(isinstance(text, str) and text for text in texts):
        raise ValueError("zone, period, key, source, made and license are texts")
    numbers = [share.users for share in head.shares]
    for share in head.shares:
        numbers += share.unidentified.values()
    if not all(type(number) is int and 0 <= number < 1 << 62 for number in numbers):
        raise ValueError("users and unidentified are numbers of them")
    if not _KEY.fullmatch(head.key):
        raise ValueError("key is a fingerprint of 16 hex digits")
    if len({share.license for share in head.shares}) != len(head.shares):
        raise ValueError("a license is there twice")
    try:
        Calendar(head.zone).parse(head.period)
    except CalendarError as error:
        raise ValueError(str(error)) from error


def _contents(file: BinaryIO, users: int) -> Iterator[bytes]:
    """Yield the next ``users`` users of ``file``, packed."""
    for start in range(0, users, CHUNK):
        wanted = min(CHUNK, users - start) * _USER
        content = file.read(wanted)
        if len(content) < wanted:
            raise InterchangeError("the file became shorter while it was read")
        yield content


def _packed(users: Sequence[int]) -> bytes:
    packed = array("q", users)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def _unpacked(content: bytes) -> "array[int]":
    users = array("q", content)
    if sys.byteorder == "big":
        users.byteswap()
    return users


def _seal(front: bytes, users: bytes) -> bytes:
    """Return the last bytes of a file that begins with ``front``; ``users`` is the digest of its users."""
    return blake2b(blake2b(front, digest_size=_DIGEST).digest() + users, digest_size=_DIGEST).digest()


def _truncated(size: int, whole: str) -> Never:
    _refuse(size, "the file ends", f"{whole} bytes; it is truncated")


def _refuse(offset: int, found: str, allowed: str) -> Never:
    raise InterchangeError(f"byte {offset}: {found}; allowed: {allowed}")
