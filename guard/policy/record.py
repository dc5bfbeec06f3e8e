"""The record of the policy that was in force, in the state directory: a restart is no way around a confirmation."""

import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from guard.policy.config import Config
from guard.policy.deltas import Delta
from guard.policy.document import PolicyError, Problem
from guard.policy.posture import At, Fact, Posture
from guard.usage.ledger import sqlite_url
from guard.usage.period import Calendar
from guard.usage.pseudonym import Pseudonymizer, PseudonymKeyError, load_or_create_key

NAME = "policy-in-force.json"
VERSION = 1


class Record(NamedTuple):
    """What was in force when it was written."""

    policy: str
    """The hash of the snapshot."""
    posture: Posture
    counting: Mapping[At, Fact]
    """What must not change within a period: ledger, zone and pseudonym key (by its fingerprint)."""
    until: float
    """When the period ends that was counted then, in epoch seconds."""

    def recounts(self, config: Config, now: float) -> list[Delta]:
        """Return what would count the running period's users anew, or apart from those counted already."""
        if now >= self.until:
            return []
        after = counting(config)
        return [Delta(at, old, after[at]) for at, old in self.counting.items() if at in after and after[at] != old]


def counting(config: Config) -> dict[At, Fact]:
    """Return the facts that a count depends on. A key that is not made yet has none."""
    state = Path(config.state_dir).absolute()
    facts: dict[At, Fact] = {
        ("usage", "ledger"): config.usage.ledger or sqlite_url(state / "ledger.db"),
        ("usage", "zone"): config.usage.zone,
    }
    key = Path(config.identity.pseudonym_key_file or state / "pseudonym.key")
    if key.is_file():
        with suppress(PseudonymKeyError):  # what opens the stores says it better
            facts["identity", "pseudonym_key_file"] = Pseudonymizer(load_or_create_key(key)).fingerprint
    return facts


def read_record(config: Config) -> Record | None:
    """Return the record in the state directory of ``config``, None if there is none. Raises PolicyError."""
    path = Path(config.state_dir) / NAME
    try:
        content: Any = json.loads(path.read_bytes())
        if content["version"] != VERSION:
            raise ValueError(content["version"])
        facts = {tuple(at): value for at, value in content["posture"]}
        counted = {tuple(at): value for at, value in content["counting"]}
        return Record(content["policy"], facts, counted, float(content["until"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        found = f"the record of the policy that was in force cannot be read ({type(error).__name__})"
        allowed = "the record as it was written; without the file nothing is compared"
        raise PolicyError([Problem(str(path), 0, "", found, allowed)]) from error


def write_record(config: Config, policy: str, facts: Posture, now: float) -> None:
    """Record what is in force, whole or not at all; ``config`` is what the process counts by. Raises OSError."""
    until = Calendar(config.usage.zone).period(now).end
    content = {
        "version": VERSION,
        "policy": policy,
        "until": until,
        "counting": [[list(at), value] for at, value in counting(config).items()],
        "posture": [[list(at), value] for at, value in facts.items()],
    }
    write_private(Path(config.state_dir) / NAME, json.dumps(content, indent=1).encode())


def write_private(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` whole or not at all, readable by the owner alone. Raises OSError."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
