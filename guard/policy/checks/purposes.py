"""A purpose that is granted is one that a license allows."""

from collections.abc import Iterator, Mapping
from datetime import date

from guard.licensing.license import License
from guard.licensing.lineage import resolve_target
from guard.licensing.purpose import PLAIN, Purpose
from guard.licensing.verdict import Verdict, stack_verdict
from guard.policy.checks.stacks import stacks_in_use
from guard.policy.config import Config
from guard.policy.document import Caution, Document
from guard.policy.keyfile import KeyFile, in_force, registered


def purposes(
    config: Config, document: Document, packs: Mapping[str, License], keyfile: KeyFile, today: date
) -> Iterator[Caution]:
    """Yield a caution for every key whose purpose no served model's license allows: its requests are all refused."""
    stacks = list(stacks_in_use(config, packs))
    for where, at, key in registered(config, document, keyfile):
        if key.purpose in PLAIN or not stacks or not in_force(key, today):
            continue
        purpose = Purpose.parse(key.purpose)
        target = resolve_target(purpose.target or "", packs)
        verdicts = [stack_verdict(stack, purpose, target) for _, stack in stacks]
        refused = [verdict for verdict in verdicts if verdict.kind in {Verdict.DENY, Verdict.UNDETERMINED}]
        if len(refused) == len(verdicts):
            cited = next((one for one in refused if one.license), refused[0])
            cause = f"license {cited.license} ({cited.clause}): {cited.reason}" if cited.license else cited.reason
            yield where.caution(
                (*at, "purpose"),
                f"'{key.purpose}' is refused for every model that is served; {cause}",
                subject=f"identity.keys {key.name}",
            )
