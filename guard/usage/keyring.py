"""The keys that pseudonyms are made with, each from a month on: how the key is changed without mixing two counts.

Whoever holds the key can test a guessed name against the ledger, so it is changed from time to time. A user has another
pseudonym under another key and is another user then, which is right from one month to the next and wrong within one: a
key is in force from the first instant of a month. A keyring is a file of lines,

    <64 hex digits>
    2026-12 <64 hex digits>

the key of the first line from the beginning of time, each other one from its month on, months ascending. A file with
one key, raw or in hex, is a keyring too.
"""

import os
import re
import secrets
from bisect import bisect_right
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from guard.usage.period import Calendar, CalendarError, Kind, Period
from guard.usage.pseudonym import (
    KEY_BYTES,
    Pseudonymizer,
    PseudonymKeyError,
    Pseudonyms,
    Term,
    load_or_create_key,
)

_LINE = re.compile(r"(?:(\d{4}-\d\d)[ \t]+)?([0-9a-fA-F]{64})", re.ASCII)
MOST = 64 * 1024
"""Bytes of a keyring: a key a month for seventy years."""


class Key(NamedTuple):
    """One key and the month (``2026-12``) from which it is in force, ``""`` for the first."""

    month: str
    secret: bytes

    @property
    def fingerprint(self) -> str:
        """As in ``Pseudonymizer``."""
        return Pseudonymizer(self.secret).fingerprint


class Keyring(NamedTuple):
    """Keys in the order of their months; the first has none."""

    keys: tuple[Key, ...]

    def of(self, month: str) -> Key:
        """Return the key in force in ``month``, for any period id: that of the month its last day is in."""
        return self.keys[bisect_right([key.month for key in self.keys], month[:7]) - 1]

    def fingerprint_of(self, month: str) -> str:
        """Return the fingerprint of the key in force in ``month`` (``2026-11``)."""
        return self.of(month).fingerprint

    def pseudonyms(self, calendar: Calendar) -> Pseudonyms:
        """Return what makes pseudonyms with these keys in the months of ``calendar``."""
        return Pseudonymizer(self.keys[0].secret) if len(self.keys) == 1 else Rotation(self, calendar)

    def with_key(self, month: Period, now: float, secret: bytes) -> "Keyring":
        """Return the keyring with one key more, in force from ``month`` on.

        Raises PseudonymKeyError if the month has begun at ``now`` or has a key already: users are counted under it.
        """
        if month.start <= now:
            raise PseudonymKeyError(f"month {month.id} has begun; allowed: a month that has not")
        if any(key.month == month.id for key in self.keys):
            raise PseudonymKeyError(f"month {month.id} has a key already; allowed: a month without one")
        return Keyring(tuple(sorted((*self.keys, Key(month.id, secret)))))

    def text(self) -> str:
        """Return the lines of the file."""
        return "".join(f"{key.month} {key.secret.hex()}".lstrip() + "\n" for key in self.keys)


class Rotation:
    """Makes pseudonyms with the key that is in force."""

    def __init__(self, keyring: Keyring, calendar: Calendar) -> None:
        starts = [calendar.parse(key.month).start for key in keyring.keys[1:]]
        self._prints = [(key.month, key.fingerprint) for key in keyring.keys]
        bounds = [Term().since, *starts, Term().until]
        self._terms = [
            Pseudonymizer(key.secret, Term(since, until))
            for key, since, until in zip(keyring.keys, bounds[:-1], bounds[1:], strict=True)
        ]
        self._current = self._terms[-1]

    def at(self, now: float) -> Pseudonymizer:
        """Return what makes pseudonyms at ``now`` (epoch seconds); two comparisons while the key stays."""
        current = self._current
        since, until = current.term
        if since <= now < until:
            return current
        self._current = found = next(one for one in self._terms if now < one.term.until)
        return found

    def fingerprint_of(self, month: str) -> str:
        """Return the fingerprint of the key in force in ``month`` (``2026-11``)."""
        return next(fingerprint for start, fingerprint in reversed(self._prints) if start <= month)


def read_keyring(path: Path) -> Keyring:
    """Return the keyring in the file ``path``. Raises PseudonymKeyError."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST + 1)
    except OSError as error:
        raise PseudonymKeyError(f"pseudonym key {path}: {error.strerror or error}") from error
    return _parsed(content, path)


def load_keyring(path: Path) -> Keyring:
    """Return the keyring in the file ``path``; if there is none, one with a random key is made with mode 0600.

    Several processes that start at once get the same one. Raises PseudonymKeyError.
    """
    if not os.path.lexists(path):
        load_or_create_key(path)
    return read_keyring(path)


def write_keyring(path: Path, keyring: Keyring) -> None:
    """Replace the keyring in ``path``, whole or not at all, with mode 0600; durable on return.

    A symbolic link stays one. Raises PseudonymKeyError.
    """
    try:
        target = path.resolve(strict=True)
        draft = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(keyring.text())
                file.flush()
                os.fsync(file.fileno())
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
        directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise PseudonymKeyError(f"pseudonym key {path}: {error.strerror or error}") from error


def check_rolling(keyring: Keyring, kinds: Collection[Kind]) -> None:
    """Raise PseudonymKeyError if ``keyring`` changes its key and ``kinds`` has windows that reach over the change.

    A rolling window that spans two months would count a user of both twice, once under each key.
    """
    rolling = [kind for kind in Kind if kind in kinds and kind in {Kind.ROLLING_28, Kind.ROLLING_30}]
    if len(keyring.keys) > 1 and rolling:
        raise PseudonymKeyError(
            f"the pseudonym key changes in {keyring.keys[-1].month}, and {rolling[0]} windows reach over the change: "
            "users of both months would count twice; allowed: one key, or no rolling windows in usage.windows"
        )


def _parsed(content: bytes, path: Path) -> Keyring:
    if len(content) == KEY_BYTES:
        return Keyring((Key("", content),))
    found: list[Key] = []
    try:
        lines = content.decode("ascii").splitlines() if len(content) <= MOST else []
    except UnicodeDecodeError:
        lines = []
    for number, line in enumerate(lines, 1):
        if not (text := line.strip()):
            continue
        match = _LINE.fullmatch(text)
        if match is None:
            if not found and len(lines) == 1:
                break
            raise PseudonymKeyError(f"pseudonym key {path}:{number}: not a key; allowed: {_ALLOWED_LINE}")
        month = match[1] or ""
        if bool(month) != bool(found) or (found and month <= found[-1].month):
            raise PseudonymKeyError(
                f"pseudonym key {path}:{number}: {month or 'no month'}; allowed: the first key without a month, the "
                "others with theirs, ascending"
            )
        _check_month(month, f"{path}:{number}")
        found.append(Key(month, bytes.fromhex(match[2])))
    if not found:
        raise PseudonymKeyError(
            f"pseudonym key {path}: {len(content)} bytes; allowed: {KEY_BYTES} random bytes, raw or as "
            f"{2 * KEY_BYTES} hex digits, and lines of a month and a key"
        )
    return Keyring(tuple(found))


_ALLOWED_LINE = f"{2 * KEY_BYTES} hex digits, in every line but the first behind a month such as 2026-12"


def _check_month(month: str, place: str) -> None:
    try:
        if month:
            Calendar().parse(month)
    except CalendarError:
        raise PseudonymKeyError(f"pseudonym key {place}: month {month}; allowed: one such as 2026-12") from None
