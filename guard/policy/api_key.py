"""The API key of a server that Guard asks, from a file or the environment; never part of any message."""

from collections.abc import Mapping
from pathlib import Path

from guard.policy.reading import read_bounded

MOST = 16 * 1024
"""Bytes of a file with a key: some providers' tokens are long."""


class KeyUnusable(Exception):
    """There is no key to be used; the text says why, and nothing of what was found."""


def api_key(file: str | None, variable: str | None, environment: Mapping[str, str]) -> str | None:
    """Return the key in ``file`` or in the environment's ``variable``; None if neither is named. Raises KeyUnusable."""
    if file is not None:
        try:
            key = read_bounded(Path(file), MOST).decode("ascii").strip()
        except OSError as error:
            raise KeyUnusable(f"cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise KeyUnusable("a file that holds no key") from None
        where = "a file that holds no key"
    elif variable is not None:
        key, where = environment.get(variable, "").strip(), f"environment variable {variable} holds no key"
        if not key:
            raise KeyUnusable(f"environment variable {variable} is not set")
    else:
        return None
    if not key or not all("!" <= letter <= "~" for letter in key):
        raise KeyUnusable(where)
    return key
