"""The file of pseudonym keys can be read, and its keys go with the windows that are counted."""

import os
from collections.abc import Iterator
from pathlib import Path

from guard.policy.config import Config
from guard.policy.document import Document, Location, Problem
from guard.usage.keyring import check_rolling, read_keyring
from guard.usage.period import Kind
from guard.usage.pseudonym import PseudonymKeyError


def pseudonyms(config: Config, document: Document) -> Iterator[Problem]:
    """Yield a problem for a key file that is there and cannot be used, and for windows that reach over a change of key.

    One that is not there yet is made at the first start.
    """
    named = config.identity.pseudonym_key_file
    path = Path(named) if named else Path(config.state_dir) / "pseudonym.key"
    if not os.path.lexists(path):
        return
    at: Location = ("identity", "pseudonym_key_file")
    try:
        keyring = read_keyring(path)
        at = ("usage", "windows")
        check_rolling(keyring, tuple(map(Kind, config.usage.windows)))
    except PseudonymKeyError as error:
        found, _, allowed = str(error).partition("; allowed: ")
        yield document.problem(at, found, allowed or "a file that can be read")
