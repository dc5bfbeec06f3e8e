"""The keys of the months: 32 random bytes each, without which nothing in a month's segments can be tested.

A key never lies inside the index, so the index may be copied anywhere: deleting the key shreds the month wherever its
segments are. A shredded month leaves a marker behind, because a key that is merely missing is a gap nobody intended.
"""

import os
import re
import secrets
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

KEY_BYTES = 32
_KEY, _SHREDDED = ".key", ".shredded"
_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


class MonthKeyError(OSError):
    """A key of a month that cannot be used; the text says where it is, what was found and what is allowed."""


class MonthKeys:
    """The keys in ``directory``, one file a month. Several processes may share it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def of(self, month: str, create: bool = False) -> bytes | None:
        """Return the key of ``month`` (``2026-11``), None if there is none.

        With ``create`` one is made where there is none, with mode 0600, except for a month that was shredded: that one
        stays without. Several processes that do so at once get the same key: the file appears complete or not at all,
        and only one creation wins. Raises ValueError for what is no month, MonthKeyError for a file that is no key or
        cannot be read or written.
        """
        path = self._path(month)
        try:
            if path.with_suffix(_SHREDDED).exists():
                return None
            found = _read(path)
            if found is not None or not create:
                return found
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
            _write(draft, secrets.token_bytes(KEY_BYTES))
            try:
                with suppress(FileExistsError):  # another process was first: its key is the key
                    os.link(draft, path)
            finally:
                draft.unlink()
            self._sync()
            return _read(path)
        except OSError as error:
            raise MonthKeyError(f"key of a month {path}: {error.strerror or error}") from error

    def months(self) -> list[str]:
        """Return the months that have a key, in order."""
        return self._named(_KEY)

    def shredded(self) -> list[str]:
        """Return the months that were shredded, in order."""
        return self._named(_SHREDDED)

    def shred(self, month: str) -> None:
        """Delete the key of ``month`` for good; idempotent. Raises ValueError for what is no month, MonthKeyError.

        The bytes are overwritten first, which is worth something on a disk that writes in place and nothing on others.
        """
        path = self._path(month)
        marker = path.with_suffix(_SHREDDED)
        try:
            if not marker.exists():  # before the key goes: a kill in between leaves a month that is shredded again
                self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                with suppress(FileExistsError):  # another process is at it too
                    _write(marker, b"")
                self._sync()
            with suppress(FileNotFoundError):
                descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
                try:
                    os.write(descriptor, bytes(os.fstat(descriptor).st_size))
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
                path.unlink()
                self._sync()
        except OSError as error:
            raise MonthKeyError(f"key of a month {path}: {error.strerror or error}") from error

    def _path(self, month: str) -> Path:
        if not _MONTH.fullmatch(month):
            raise ValueError(f"{month!r} is no month; allowed: a year and a month such as 2026-11")
        return self.directory / f"{month}{_KEY}"

    def _named(self, suffix: str) -> list[str]:
        return sorted(path.stem for path in self.directory.glob(f"*{suffix}") if _MONTH.fullmatch(path.stem))

    def _sync(self) -> None:
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def segment_key_id(master: bytes, month_key: bytes) -> bytes:
    """Return the 8 bytes that a segment names its keys by: the master key of digests and grams, and the month's.

    They tell keys apart without telling anything about them.
    """
    return blake2b(month_key, digest_size=8, key=master, person=b"guard segment id").digest()


def _read(path: Path) -> bytes | None:
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(key) != KEY_BYTES:
        raise MonthKeyError(f"key of a month {path}: {len(key)} bytes; allowed: {KEY_BYTES} random bytes")
    return key


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
