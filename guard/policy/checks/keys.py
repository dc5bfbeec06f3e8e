"""API keys are set and told apart."""

from collections.abc import Iterator, Mapping

from guard.policy.config import Config
from guard.policy.document import Document, Location, Problem


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
