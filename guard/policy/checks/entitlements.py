"""What single keys have of the capability surface: no more than their stated purpose is good for."""

from collections.abc import Iterator, Mapping
from datetime import date

from guard.exchange.snapshot import FieldAction, FieldRule
from guard.licensing.capability import BLINDING
from guard.licensing.license import License
from guard.licensing.purpose import UNKNOWN
from guard.policy.checks.fields import CLAMPED
from guard.policy.checks.stacks import stacks_in_use
from guard.policy.config import Config
from guard.policy.document import Caution, Document, Problem
from guard.policy.entitlements import Key, Widening, widenings
from guard.policy.keyfile import KeyFile, in_force, registered


def entitlements(
    config: Config, document: Document, packs: Mapping[str, License], keyfile: KeyFile
) -> Iterator[Problem]:
    """Yield a problem for every setting of a key that clamps what has no number, or that is more than it may have.

    What is more under one model and denied under another is given under the first alone, and no problem.
    """
    stacks = list(stacks_in_use(config, packs))
    for where, at, key in registered(config, document, keyfile):
        for name, setting in key.fields.items():
            if setting.action is FieldAction.CLAMP and name not in CLAMPED:
                yield where.problem(
                    (*at, "fields", name),
                    f"a clamp to {setting.limit} of {name}, which is no number",
                    f"allow, deny or strip; clamp goes with {', '.join(CLAMPED)}",
                )
        if document.misses(("outputs", "fields"), ("models",)) or where.misses((*at, "purpose")):
            continue
        wider: dict[str, list[Widening]] = {}
        for found in widenings(key, stacks, config, packs):
            wider.setdefault(found.capability, []).append(found)
        for name, asked in wider.items():
            if not any(one.given for one in asked):
                yield where.problem((*at, "fields", name), *_refused(key, asked[0]))


def widened(
    config: Config, document: Document, packs: Mapping[str, License], keyfile: KeyFile, today: date
) -> Iterator[Caution]:
    """Yield a caution for every capability of which a key has more than everybody, by model."""
    stacks = list(stacks_in_use(config, packs))
    for where, at, key in registered(config, document, keyfile):
        for found in widenings(key, stacks, config, packs) if in_force(key, today) else ():
            if found.given:
                said = f"{found.capability} {_said(found)}, for the purpose '{key.purpose}'"
                yield where.caution((*at, "fields", found.capability), said, subject=f"identity.keys {key.name}")


def _refused(key: Key, asked: Widening) -> tuple[str, str]:
    """What is wrong with a widening that is given under no model, and what is allowed."""
    found, instead = _said(asked), _no_more(asked.base)
    if asked.capability in BLINDING:
        allowed = f"{instead}: no key opens what no rule reads; outputs.fields does, for everybody"
        return f"{found}, and {BLINDING[asked.capability]}", allowed
    if key.purpose == UNKNOWN:
        allowed = f"{instead}, or a purpose: serve, evaluate, train:TARGET or synthetic-data:TARGET"
        return f"{found}, and the key states no purpose", allowed
    assert asked.denied is not None
    by = f"license {asked.denied.license} ({asked.denied.clause})"
    return f"{found}, and {by} denies the purpose '{key.purpose}'", f"{instead}, or a purpose that is not denied"


def _said(asked: Widening) -> str:
    base = asked.base
    by = f"license {base.license} ({base.clause})" if base.license else "what holds for everybody"
    shown = base.action.value if base.limit is None else f"{base.action.value} to {base.limit}"
    return f"'{asked.setting}' is more than {by} gives for {asked.model} ('{shown}')"


def _no_more(base: FieldRule) -> str:
    if base.action is FieldAction.CLAMP:
        return f"{{clamp: N}} with N up to {base.limit}"
    return "strip or deny" if base.action is FieldAction.STRIP else "deny"
