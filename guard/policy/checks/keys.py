"""API keys are set and told apart."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta

from guard.policy.config import Config
from guard.policy.document import Document, Location, Problem
from guard.policy.keyfile import KeyFile, Registered, registered
from guard.policy.settings.keys import StoredKeyConfig


def keys(config: Config, document: Document, environment: Mapping[str, str]) -> Iterator[Problem]:
    """Yield a problem for every key that is not set, or there twice."""
    names: set[str] = set()
    digests: set[str] = set()
    for index, key in enumerate(config.identity.keys):
        at: Location = ("identity", "keys", index)
        if key.key_env is not None and not environment.get(key.key_env):
            yield document.problem((*at, "key_env"), f"environment variable {key.key_env} is not set", "a set variable")
        if key.name in names:
            yield document.problem((*at, "name"), f"'{key.name}' is there twice", "each name once")
        if key.sha256 is not None and key.sha256 in digests:
            yield document.problem((*at, "sha256"), "the same key is there twice", "each key once")
        names.add(key.name)
        digests.add(key.sha256 or "")


def stored_keys(config: Config, document: Document, keyfile: KeyFile, today: date) -> Iterator[Problem]:
    """Yield a problem for every key of the keys file that was revoked on a day to come, and for every one that says
    something else of its application than another key of that name: which key is sent must not matter.
    """
    first: dict[str, Registered] = {}
    for entry in registered(config, document, keyfile):
        where, at, key = entry
        if isinstance(key, StoredKeyConfig) and key.revoked is not None:
            if key.revoked > today + timedelta(days=1):  # tomorrow is today somewhere
                found = f"'{key.revoked}' is a day to come"
                yield where.problem((*at, "revoked"), found, "the day it was revoked; expires is for days to come")
            continue
        other = first.setdefault(key.name, entry)
        if where is document:
            continue  # a name that is twice in the configuration is told as that
        line = f"{other.document.file}:{other.document.line(other.document.origin(other.at))}"
        for name in ("purpose", "user"):
            own, others = getattr(key, name), getattr(other.key, name)
            if own != others:
                found = f"'{own or 'nobody'}', and '{others or 'nobody'}' for the key '{key.name}' in {line}"
                yield where.problem((*at, name), found, f"one {name} for all keys of a name")
        if key.fields != other.key.fields:
            found = f"other settings than for the key '{key.name}' in {line}"
            yield where.problem((*at, "fields"), found, "one fields for all keys of a name")
