"""The record of the policy that was in force, in the state directory: a restart is no way around a confirmation."""

import json
from collections.abc import Mapping
from contextlib import suppress
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from guard.policy.config import Config
from guard.policy.deltas import Delta
from guard.policy.document import PolicyError, Problem, masked
from guard.policy.posture import At, Fact, Posture
from guard.policy.reading import read_bounded
from guard.policy.writing import write_private
from guard.usage.address import sqlite_url
from guard.usage.keyring import read_keyring
from guard.usage.period import Calendar
from guard.usage.pseudonym import PseudonymKeyError

NAME = "policy-in-force.json"
VERSION = 1
RECORD_BYTES = 64 * 1024 * 1024


class Record(NamedTuple):
    """What was in force when it was written."""

    policy: str
    """The hash of the snapshot."""
    posture: Posture
    gone: Posture
    """Facts of models and limits that were in force earlier in the period, and about which nothing is any more."""
    counting: Mapping[At, Fact]
    """What must not change within a period: ledger, zone and pseudonym key (by its fingerprint)."""
    until: float
    """When the period ends that was counted then, in epoch seconds."""

    def recounts(self, config: Config, now: float) -> list[Delta]:
        """Return what would count the running period's users anew, or apart from those counted already."""
        if now >= self.until:
            return []
        after = counting(config, now)
        return [
            Delta(at, old, after[at])
            for at, old in self.counting.items()
            if at in after and after[at] != masked(str(old))
        ]

    def standing(self, now: float) -> Posture:
        """Return what a policy is compared with at ``now``: what was in force, and what was so in this period."""
        return {**(self.gone if now < self.until else {}), **self.posture}


def counting(config: Config, now: float) -> dict[At, Fact]:
    """Return the facts that the count of the month of ``now`` depends on. A key that is not made yet has none."""
    state = Path(config.state_dir).absolute()
    facts: dict[At, Fact] = {
        ("usage", "ledger"): masked(config.usage.ledger or sqlite_url(state / "ledger.db")),
        ("usage", "zone"): config.usage.zone,
    }
    key = Path(config.identity.pseudonym_key_file or state / "pseudonym.key")
    if key.is_file():
        with suppress(PseudonymKeyError):  # what opens the stores says it better
            month = Calendar(config.usage.zone).period(now).id
            facts["identity", "pseudonym_key_file"] = read_keyring(key).fingerprint_of(month)
    return facts


def read_record(config: Config) -> Record | None:
    """Return the record in the state directory of ``config``, None if there is none. Raises PolicyError."""
    path = Path(config.state_dir) / NAME
    try:
        content: Any = json.loads(read_bounded(path, RECORD_BYTES))
        if content["version"] != VERSION:
            raise ValueError(content["version"])
        facts, counted = _facts(content["posture"]), _facts(content["counting"])
        gone, until = _facts(content.get("gone", ())), float(content["until"])
        if not isfinite(until):
            raise ValueError(until)
        return Record(content["policy"], facts, gone, counted, until)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        found = f"the record of the policy that was in force cannot be read ({type(error).__name__})"
        allowed = "the record as it was written; without the file nothing is compared"
        raise PolicyError([Problem(str(path), 0, "", found, allowed)]) from error


def _facts(listed: Any) -> dict[At, Fact]:
    """The facts of a record, whatever they are about. Raises ValueError or TypeError for what are none."""
    found = {tuple(at): value for at, value in listed}
    if not all(at and all(isinstance(part, str) for part in at) for at in found):
        raise ValueError("a fact without a name")
    if not all(isinstance(value, (str, int)) for value in found.values()):
        raise ValueError("a fact that is no text and no number")
    return found


def period_end(config: Config, now: float) -> float:
    """Return when the period ends that ``now`` is in, both in epoch seconds."""
    return Calendar(config.usage.zone).period(now).end


def write_record(config: Config, policy: str, facts: Posture, gone: Posture, now: float) -> None:
    """Record what is in force, whole or not at all; ``config`` is what the process counts by. Raises OSError."""
    until = period_end(config, now)
    content = {
        "version": VERSION,
        "policy": policy,
        "until": until,
        "counting": [[list(at), value] for at, value in counting(config, now).items()],
        "posture": [[list(at), value] for at, value in facts.items()],
        "gone": [[list(at), value] for at, value in gone.items()],
    }
    write_private(Path(config.state_dir) / NAME, json.dumps(content, indent=1).encode())
