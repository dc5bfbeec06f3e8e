"""What single API keys may use of the capability surface: less than their licenses leave, or for a purpose more.

A license that bars training other models on outputs closes what a teacher gives a student (``guard.licensing
.capability``), for everybody, because nobody is known. A key whose application states what it does with the answers may
be given some of it back, as far as the license does not deny that purpose: log probabilities for an evaluation under
Llama 2, clause 1.b.v. The statement is on record, and so is the operator's word for it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

from guard.exchange.snapshot import Entitlement, FieldAction, FieldRule, Snapshot
from guard.licensing.capability import BLINDING
from guard.licensing.license import License
from guard.licensing.lineage import resolve_target
from guard.licensing.purpose import UNKNOWN, Purpose
from guard.licensing.verdict import OutputVerdict, Verdict, stack_verdict
from guard.policy.checks.stacks import stacks_in_use
from guard.policy.config import Config
from guard.policy.keyfile import KeyFile
from guard.policy.settings.identity import KeyConfig
from guard.policy.settings.keys import StoredKeyConfig
from guard.policy.snapshot import UNDETERMINED, fields
from guard.policy.tenants import tightens
from guard.policy.values import FieldSetting

Key = KeyConfig | StoredKeyConfig
Stack = tuple[str, Sequence[License]]
"""A model, or what stands for several, and its licenses."""


class Widening(NamedTuple):
    """One capability of which one key has more than a model's licenses, or the operator, give everybody."""

    capability: str
    setting: FieldSetting
    model: str
    base: FieldRule
    """What holds for everybody."""
    denied: OutputVerdict | None
    """Set where it is not given after all: what the model's licenses say against the key's purpose."""

    @property
    def given(self) -> bool:
        """True where the key has it."""
        return self.denied is None and self.capability not in BLINDING


def widenings(key: Key, stacks: Iterable[Stack], config: Config, packs: Mapping[str, License]) -> Iterator[Widening]:
    """Yield whatever ``key`` asks for beyond what holds for everybody, by capability and model."""
    for name, stack in stacks:
        base, denied = fields(stack, config), _denied(key, stack, packs)
        for capability, own in key.fields.items():
            rule = base.get(capability)
            if rule is not None and not tightens(capability, own, rule):
                yield Widening(capability, own, name, rule, denied)


def with_entitlements(base: Snapshot, config: Config, packs: Mapping[str, License], keyfile: KeyFile) -> Snapshot:
    """Return ``base`` with the field rules of every key that has settings of its own, by what its models' licenses are.

    ``config`` and ``keyfile`` have no problems.
    """
    keys: list[Key] = [*config.identity.keys, *(key for key in keyfile.keys if key.revoked is None)]
    stacks = list(stacks_in_use(config, packs))
    own: dict[str, Mapping[tuple[str, ...], Mapping[str, FieldRule]]] = {}
    for key in keys:  # those of a name all say the same
        if key.fields and key.name not in own:
            found = ((_ids(stack[1]), _rules(key, stack, config, packs)) for stack in stacks)
            own[key.name] = MappingProxyType({ids: rules for ids, rules in found if rules is not None})
    if not own:
        return base

    def entitled(known: Entitlement) -> Entitlement:
        return replace(known, fields=own[known.name]) if own.get(known.name) else known

    identity = base.identity
    return replace(
        base,
        identity=replace(
            identity,
            keys=MappingProxyType({digest: entitled(known) for digest, known in identity.keys.items()}),
            stored=MappingProxyType({id_: (kept, entitled(known)) for id_, (kept, known) in identity.stored.items()}),
        ),
    )


def _rules(key: Key, stack: Stack, config: Config, packs: Mapping[str, License]) -> Mapping[str, FieldRule] | None:
    """The field rules of ``key`` under a stack; None where they are everybody's."""
    base = fields(stack[1], config)
    refused = {wider.capability for wider in widenings(key, [stack], config, packs) if not wider.given}
    own = {
        name: FieldRule(one.action, one.limit)
        for name, one in key.fields.items()
        if name not in refused and (name not in base or one != (base[name].action, base[name].limit))
    }
    rules = {name: rule for name, rule in {**base, **own}.items() if rule.action is not FieldAction.ALLOW}
    return MappingProxyType(rules) if rules != base else None


def _ids(stack: Sequence[License]) -> tuple[str, ...]:
    """As ``ModelPolicy.counted``."""
    return tuple(license_.id for license_ in stack) or (UNDETERMINED,)


def _denied(key: Key, stack: Sequence[License], packs: Mapping[str, License]) -> OutputVerdict | None:
    """What speaks against giving ``key`` more under ``stack``: no purpose is stated, or a license denies the one."""
    purpose = Purpose.parse(key.purpose)
    if purpose.kind == UNKNOWN:
        return OutputVerdict(Verdict.UNDETERMINED, None, "", (), "it states no purpose")
    target = resolve_target(purpose.target, packs) if purpose.target is not None else None
    verdict = stack_verdict(stack, purpose, target)
    return verdict if verdict.kind is Verdict.DENY else None
