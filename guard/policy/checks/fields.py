"""Settings of capabilities: a clamp has something to clamp, and what no rule reads is known to pass."""

from collections.abc import Iterator, Mapping

from guard.exchange.snapshot import FieldAction
from guard.exchange.unscanned import PartAction, PartKind
from guard.licensing.license import License
from guard.policy.checks.stacks import stacks_in_use
from guard.policy.config import Config
from guard.policy.document import Caution, Document, Problem
from guard.policy.snapshot import rulings
from guard.screening.findings import Action

CLAMPED = ("length", "logprobs", "prompt_logprobs", "samples")
"""Capabilities that a request asks for by number; the others are there or not."""
UNREAD = ("chat_template", "prompt_embeds", "stored", "token_ids", "kv_transfer")
"""Capabilities that take text past the rules when they are allowed."""


def clamps(config: Config, document: Document) -> Iterator[Problem]:
    """Yield a problem for every clamp of a capability that has no number."""
    for name, setting in config.outputs.fields.items():
        if setting.action is FieldAction.CLAMP and name not in CLAMPED:
            yield document.problem(
                ("outputs", "fields", name),
                f"a clamp to {setting.limit} of {name}, which is no number",
                f"allow, deny or strip; clamp goes with {', '.join(CLAMPED)}",
            )


def unread(config: Config, document: Document, packs: Mapping[str, License]) -> Iterator[Caution]:
    """Yield a caution for everything that is let past the rules while a rule blocks."""
    for name, stack in stacks_in_use(config, packs):
        ruled = rulings(stack, config.screening.actions)
        blocked = [category for category, ruling in ruled.items() if ruling.action is Action.BLOCK]
        if not blocked:
            continue
        for capability in UNREAD:
            own = config.outputs.fields.get(capability)
            if own is not None and own.action is FieldAction.ALLOW:
                found = f"allowed, and no rule reads it, while {', '.join(blocked)} is blocked for {name}"
                yield document.caution(("outputs", "fields", capability), found)
        passing = [kind for kind in PartKind if config.screening.unscannable.of(kind) not in {None, PartAction.DENY}]
        if passing:
            found = f"{', '.join(passing)} pass unread, while {', '.join(blocked)} is blocked for {name}"
            yield document.caution(("screening", "unscannable"), found)
