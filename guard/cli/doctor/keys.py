"""The files with secrets: that they are there, are keys, and are nobody else's to read."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from guard.cli.doctor.check import Check, fail, ok, warn
from guard.cli.doctor.state import mount_of

if TYPE_CHECKING:
    from guard.policy.config import Config

SECRETS = (Path("/run/secrets"), Path("/var/run/secrets"))
"""Where orchestrators mount secrets, each for the processes that are to read it: its mode keeps nobody else out."""


def checks(config: "Config") -> Iterator[Check]:
    """Yield what is to be said of every key file."""
    from guard.evidence.signing import PRIVATE
    from guard.provenance.layout import Layout

    state = Path(config.state_dir)
    yield pseudonym(config, state)
    layout = Layout(state)
    made = [("signing key", layout.signing / PRIVATE), ("provenance key", layout.key)]
    made += [("month key", path) for path in sorted(layout.keys.glob("*")) if path.is_file()]
    given = [("admin token", config.admin_token_file)]
    given += [("judge key", config.screening.judge.key_file)] if config.screening.judge is not None else []
    # What Guard makes itself is the owner's alone; what it is given may be the group's to read.
    found = [(name, path, 0o077) for name, path in made if path.exists()]
    found += [(name, Path(path), 0o037) for name, path in given if path is not None and Path(path).exists()]
    open_ones = [(name, path) for name, path, others in found if _open(path, others)]
    for name, path in open_ones:
        yield fail("key files", f"{name} {path}: mode {_mode(path):04o}", f"chmod 600 {path}")
    if found and not open_ones:
        yield ok("key files", f"{len(found)} other files with secrets are for Guard alone to read")


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
    try:
        fingerprint = read_keyring(key).fingerprint_of(month_now(config))
    except PseudonymKeyError as error:
        return fail("pseudonym key", str(error), "put back the key the users were counted with")
    detail = f"{key}, fingerprint {fingerprint}, mode {_mode(key):04o}"
    if _open(key, 0o037):
        return fail("pseudonym key", f"{detail}; allowed: 0600, or 0640 for the group", f"chmod 600 {key}")
    return ok("pseudonym key", detail)


def month_now(config: "Config") -> str:
    """Return the month that is counted now, in the configured zone."""
    from guard.usage.period import Calendar

    return Calendar(config.usage.zone).period(time.time()).id


def _open(path: Path, others: int) -> bool:
    """Return True if the mode lets in any of ``others``, and nothing else keeps them out."""
    return bool(_mode(path) & others) and not _mounted(path)


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def _mounted(path: Path) -> bool:
    """Return True if an orchestrator put the file there: where it puts secrets, or on a mount nobody here writes to."""
    places = [*SECRETS, *map(Path, filter(None, [os.environ.get("CREDENTIALS_DIRECTORY")]))]
    if any(path.absolute().is_relative_to(place) for place in places):
        return True
    mount = mount_of(path.resolve())
    return mount is not None and mount.read_only and mount.point != "/"
