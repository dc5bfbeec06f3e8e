"""The keys that ``identity.keys_file`` names, beside those in the configuration itself."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import NamedTuple

from guard.exchange.credential import StoredKey
from guard.exchange.snapshot import Entitlement
from guard.policy.config import Config
from guard.policy.document import Document, Location, PolicyError, Problem, read_text, scan
from guard.policy.settings.identity import KeyConfig
from guard.policy.settings.keys import KeysConfig, StoredKeyConfig
from guard.policy.validation import Salvaged, salvage


class KeyFile(NamedTuple):
    """The keys of one file, and where everything stands in it."""

    document: Document
    keys: tuple[StoredKeyConfig, ...] = ()


NO_KEYS = KeyFile(Document("", {}, {}))


class Registered(NamedTuple):
    """One registered API key, and where it stands."""

    document: Document
    at: Location
    key: KeyConfig | StoredKeyConfig


def read_keys(path: Path) -> Salvaged[KeysConfig]:
    """Return what is sound of the keys file ``path``, with its problems of form and every id that is there twice.

    Raises PolicyError when it cannot be read or nothing of it is left.
    """
    document = scan(read_text(path), str(path))
    if document.data is not None and not isinstance(document.data, dict):
        raise PolicyError([document.problem((), "not a mapping", "keys: and a list, as guard keys add writes it")])
    if document.data == {"keys": None}:  # the list that nothing was put into yet
        document = replace(document, data={})
    read = salvage(document, KeysConfig)
    problems, ids = list(read.problems), set[str]()
    for index, key in enumerate(read.value.keys):
        if key.id in ids:
            problems.append(read.document.problem(("keys", index, "id"), f"'{key.id}' is there twice", "each key once"))
        ids.add(key.id)
    return Salvaged(read.value, read.document, tuple(problems))


def keys_of(config: Config, document: Document) -> tuple[KeyFile, list[Problem]]:
    """Return the keys of the file that ``config`` names, if it names one, and what is wrong with it."""
    name = config.identity.keys_file
    if name is None:
        return NO_KEYS, []
    try:
        read = read_keys(Path(name))
    except PolicyError as error:
        if any(problem.found.startswith("cannot be read") for problem in error.problems):
            found = error.problems[0].found
            allowed = "a keys file; guard keys add makes one"
            return NO_KEYS, [document.problem(("identity", "keys_file"), found, allowed)]
        return NO_KEYS, list(error.problems)
    return KeyFile(read.document, read.value.keys), list(read.problems)


def registered(config: Config, document: Document, keyfile: KeyFile) -> Iterator[Registered]:
    """Yield every key that is registered, those of the configuration first; ``document`` is the configuration's."""
    for index, key in enumerate(config.identity.keys):
        yield Registered(document, ("identity", "keys", index), key)
    for index, stored in enumerate(keyfile.keys):
        yield Registered(keyfile.document, ("keys", index), stored)


def in_force(key: KeyConfig | StoredKeyConfig, today: date) -> bool:
    """Return True if ``key`` is one that a request may come with."""
    return isinstance(key, KeyConfig) or key.state(today) == "active"


def stored(keyfile: KeyFile) -> dict[str, tuple[StoredKey, Entitlement]]:
    """Return the keys by id, as requests are compared with them."""
    return {
        key.id: (
            StoredKey(key.salt, key.hash, _end(key.expires), key.revoked is not None),
            Entitlement(key.name, key.purpose, key.user, frozenset(terms.license for terms in key.terms)),
        )
        for key in keyfile.keys
    }


def _end(last: date | None) -> float | None:
    if last is None or last == date.max:
        return None
    return datetime.combine(last + timedelta(days=1), time(), UTC).timestamp()
