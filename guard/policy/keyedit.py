"""Changing the file of API keys: one entry at a time, the rest of the text as somebody left it.

An edit is text put into text. What comes out is read again before it is written, and has to say what was meant and
nothing else: a file that is written in a way this does not understand is left alone.
"""

import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from guard.policy.document import PolicyError, parse, read_text
from guard.policy.keyfile import read_keys
from guard.policy.settings.keys import StoredKeyConfig

HEADER = """\
# API keys of this service, kept by `guard keys`. None can be made out of what is here; still, keep it to yourself.
keys:
"""
BY_HAND = "it is written in a way that cannot be edited; change it by hand, or write it as `guard keys add` does"


class KeysFileError(Exception):
    """A change that was not made; the text says why, and holds no key."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the directory of ``path`` against other commands that change keys. Raises OSError."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def keys_in(path: Path) -> tuple[StoredKeyConfig, ...]:
    """Return the keys in ``path``, none if there is no file. Raises PolicyError."""
    if not path.exists():
        return ()
    read = read_keys(path)
    if read.problems:
        raise PolicyError(read.problems)
    return read.value.keys


def add_key(path: Path, make: Callable[[tuple[StoredKeyConfig, ...]], dict[str, Any]]) -> None:
    """Append to ``path`` the entry that ``make`` returns for the keys that are there; the file is made if need be.

    Raises PolicyError, KeysFileError, OSError, and whatever ``make`` raises: then nothing has changed.
    """
    with locked(path):
        entry = make(keys_in(path))
        text = _text(path) or HEADER
        _write(path, text, _appended(text, entry), lambda keys: [*keys, entry])


def revoke_key(path: Path, id_: str, today: date) -> StoredKeyConfig | None:
    """Mark the key ``id_`` in ``path`` as revoked on ``today``; return it as it was before, None if there is none.

    One that is revoked already stays so. Raises PolicyError, KeysFileError, OSError.
    """
    with locked(path):
        found = [(index, key) for index, key in enumerate(keys_in(path)) if key.id == id_]
        if not found or found[0][1].revoked is not None:
            return found[0][1] if found else None
        index, key = found[0]
        text = _text(path)

        def revoked(keys: list[Any]) -> list[Any]:
            return [{**entry, "revoked": today} if at == index else entry for at, entry in enumerate(keys)]

        _write(path, text, _marked(text, index, today), revoked)
        return key


def _text(path: Path) -> str:
    if not path.exists():
        return ""
    text = read_text(path)
    return text if text.endswith("\n") or not text else f"{text}\n"


def _keys_node(text: str) -> yaml.Node | None:
    root = yaml.compose(text, Loader=yaml.SafeLoader)  # its marks count characters, as Python does
    pairs = root.value if isinstance(root, yaml.MappingNode) else ()
    return next((value for key, value in pairs if key.value == "keys"), None)


def _appended(text: str, entry: dict[str, Any]) -> str:
    node = _keys_node(text)
    if isinstance(node, yaml.SequenceNode) and node.value:
        if node.flow_style:
            raise KeysFileError(BY_HAND)
        indentation = node.start_mark.column
    elif node is None or node.end_mark.index == node.start_mark.index:
        text, indentation = text if node is not None else f"{text}keys:\n", 2
    else:
        text, indentation = text[: node.start_mark.index].rstrip(" ") + text[node.end_mark.index :], 2
    written = yaml.safe_dump([entry], sort_keys=False, allow_unicode=True, width=1000)
    return text + "".join(f"{' ' * indentation}{line}\n" for line in written.splitlines())


def _marked(text: str, index: int, today: date) -> str:
    node = _keys_node(text)
    entry = node.value[index] if isinstance(node, yaml.SequenceNode) else None
    if not isinstance(entry, yaml.MappingNode):
        raise KeysFileError(BY_HAND)
    if entry.flow_style:
        at = entry.end_mark.index - 1
        return f"{text[:at].rstrip()}, revoked: {today}{text[at:]}"
    line = next(key.start_mark for key, _ in entry.value if key.value == "id")
    after = text.index("\n", line.index) + 1
    return f"{text[:after]}{' ' * line.column}revoked: {today}\n{text[after:]}"


def _write(path: Path, before: str, after: str, meant: Callable[[list[Any]], list[Any]]) -> None:
    """Put ``after`` in the place of ``path``, if it is what was ``meant``, readable by its owner alone."""
    said = (parse(before, str(path)).data or {}).get("keys") or []
    try:
        says = parse(after, str(path)).data
    except PolicyError:
        says = None
    if says != {"keys": meant(said)}:
        raise KeysFileError(BY_HAND)
    if path.is_symlink() or path.parent.is_symlink():
        raise KeysFileError("it is a symbolic link, as in a mounted Secret: change the Secret instead")
    like = path.stat() if path.exists() else None
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(after.encode())
            if like is not None and (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), like.st_uid, like.st_gid)  # the gateway is to read it still
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
