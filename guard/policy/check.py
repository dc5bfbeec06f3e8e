"""What contradicts itself in a configuration (problems), and what somebody should know of it (warnings)."""

from collections.abc import Mapping, Sequence
from datetime import date

from guard.licensing.license import License
from guard.policy.checks.actions import actions
from guard.policy.checks.addresses import addresses
from guard.policy.checks.affiliates import affiliates
from guard.policy.checks.attestations import attestation_warnings, attestors
from guard.policy.checks.entitlements import entitlements, widened
from guard.policy.checks.expiry import expiries, owners
from guard.policy.checks.fields import clamps, unread
from guard.policy.checks.hops import hops, presumed, strangers
from guard.policy.checks.idle import idle
from guard.policy.checks.judge import judge, judge_warnings
from guard.policy.checks.keys import keys, stored_keys
from guard.policy.checks.limits import acting, daily, estimated, limits, observed
from guard.policy.checks.lineage import lineage, lineage_warnings
from guard.policy.checks.models import models
from guard.policy.checks.names import names
from guard.policy.checks.neural import neural
from guard.policy.checks.operator import operator, operator_warnings
from guard.policy.checks.pseudonyms import pseudonyms
from guard.policy.checks.purposes import purposes
from guard.policy.checks.shadows import shadow_warnings, shadows
from guard.policy.checks.sources import assertions, sources
from guard.policy.checks.tenants import tenants
from guard.policy.checks.terms import terms, unaccepted
from guard.policy.checks.warnings import warnings
from guard.policy.checks.zone import zone
from guard.policy.config import Config
from guard.policy.document import Caution, Document, Problem
from guard.policy.keyfile import KeyFile
from guard.screening.rules import Rule

__all__ = ["cautions", "idle", "problems", "shadows"]


def problems(
    config: Config,
    document: Document,
    packs: Mapping[str, License],
    keyfile: KeyFile,
    environment: Mapping[str, str],
    today: date,
) -> list[Problem]:
    """Return every contradiction in ``config`` and ``keyfile``; ``document`` says where each value stands."""
    return [
        *models(config, document, packs),
        *lineage(config, document, packs),
        *operator(config, document, packs, today),
        *addresses(config, document),
        *keys(config, document, environment),
        *stored_keys(config, document, keyfile, today),
        *names(config, document),
        *sources(config, document, keyfile),
        *assertions(config, document),
        *hops(config, document),
        *clamps(config, document),
        *entitlements(config, document, packs, keyfile),
        *limits(config, document, packs),
        *acting(config, document, packs),
        *estimated(config, document),
        *affiliates(config, document, packs),
        *attestors(config, document),
        *actions(config, document, packs),
        *zone(config, document),
        *neural(config, document),
        *pseudonyms(config, document),
        *owners(config, document),
        *tenants(config, document, packs, keyfile),
        *terms(config, document, packs, keyfile, today),
        *judge(config, document, packs, environment),
    ]


def cautions(
    config: Config,
    document: Document,
    packs: Mapping[str, License],
    documents: Mapping[str, Document],
    keyfile: KeyFile,
    rules: Sequence[Rule],
    today: date,
) -> tuple[Caution, ...]:
    """Return what is not wrong in ``config`` but worth knowing, nothing twice. ``config`` has no problems.

    ``documents`` say where the facts of each pack stand.
    """
    found = [
        *warnings(config, document, packs, documents, today),
        *lineage_warnings(config, document, packs),
        *operator_warnings(config, document, packs, today),
        *attestation_warnings(config, document, packs, today),
        *shadow_warnings(config, document, packs, rules, today),
        *expiries(config, document, today),
        *unaccepted(config, document, packs, keyfile, today),
        *strangers(config, document),
        *presumed(config, document),
        *purposes(config, document, packs, keyfile, today),
        *widened(config, document, packs, keyfile, today),
        *unread(config, document, packs),
        *observed(config, document),
        *daily(config, document, packs),
        *judge_warnings(config, document, packs),
    ]
    return tuple(dict.fromkeys(found))
