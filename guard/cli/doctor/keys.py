"""The files with secrets: that they are there, are keys, and are nobody else's to read."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from guard.cli.doctor.check import Check, fail, ok, warn

if TYPE_CHECKING:
    from guard.policy.config import Config


def checks(config: "Config") -> Iterator[Check]:
    """Yield what is to be said of every key file."""
    from guard.evidence.signing import PRIVATE
    from guard.provenance.layout import Layout

    state = Path(config.state_dir)
    yield pseudonym(config, state)
    layout = Layout(state)
    named: dict[str, Path | None] = {
        "signing key": layout.signing / PRIVATE,
        "provenance key": layout.key,
        "admin token": _path(config.admin_token_file),
        "judge key": _path(config.screening.judge.key_file) if config.screening.judge is not None else None,
    }
    found = [(name, path) for name, path in named.items() if path is not None and path.exists()]
    found += [("month key", path) for path in sorted(layout.keys.glob("*")) if path.is_file()]
    open_ones = [(name, path) for name, path in found if path.stat().st_mode & 0o077]
    for name, path in open_ones:
        mode = path.stat().st_mode & 0o777
        # A secret that an orchestrator mounts is often the group's to read; what Guard makes itself never is.
        bad = fail if name not in {"admin token", "judge key"} or mode & 0o007 else warn
        yield bad("key files", f"{name} {path}: mode {mode:04o}", f"chmod 600 {path}")
    if found and not open_ones:
        yield ok("key files", f"{len(found)} other files with secrets are the owner's alone")


def pseudonym(config: "Config", state: Path) -> Check:
    """Return what is to be said of the key that users are counted by."""
    from guard.usage.keyring import read_keyring
    from guard.usage.pseudonym import PseudonymKeyError

    key = Path(config.identity.pseudonym_key_file or state / "pseudonym.key")
    if not key.exists():
        if config.identity.pseudonym_key_file is not None:
            detail = f"{key} is not there; it is named in the configuration"
            return fail("pseudonym key", detail, "mount it: replicas share one key")
        return warn("pseudonym key", f"{key} is not there", "none: the first start makes it; replicas have to share it")
    mode = key.stat().st_mode & 0o777
    try:
        fingerprint = read_keyring(key).fingerprint_of(month_now(config))
    except PseudonymKeyError as error:
        return fail("pseudonym key", str(error), "put back the key the users were counted with")
    detail = f"{key}, fingerprint {fingerprint}, mode {mode:04o}"
    if mode & 0o077:
        return fail("pseudonym key", f"{detail}; allowed: 0600", f"chmod 600 {key}")
    return ok("pseudonym key", detail)


def month_now(config: "Config") -> str:
    """Return the month that is counted now, in the configured zone."""
    from guard.usage.period import Calendar

    return Calendar(config.usage.zone).period(time.time()).id


def _path(name: str | None) -> Path | None:
    return None if name is None else Path(name)
