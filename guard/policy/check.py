"""What contradicts itself in a configuration (problems), and what somebody should know of it (warnings)."""

from collections.abc import Mapping, Sequence
from datetime import date

from guard.licensing.license import License
from guard.policy.checks.actions import actions
from guard.policy.checks.addresses import addresses
from guard.policy.checks.expiry import expiries, owners
from guard.policy.checks.fields import clamps, unread
from guard.policy.checks.keys import keys
from guard.policy.checks.limits import acting, limits, observed
from guard.policy.checks.lineage import lineage, lineage_warnings
from guard.policy.checks.models import models
from guard.policy.checks.names import names
from guard.policy.checks.operator import operator, operator_warnings
from guard.policy.checks.purposes import purposes
from guard.policy.checks.shadows import shadow_warnings, shadows
from guard.policy.checks.sources import sources, strangers
from guard.policy.checks.tenants import tenants
from guard.policy.checks.terms import terms, unaccepted
from guard.policy.checks.warnings import warnings
from guard.policy.checks.zone import zone
from guard.policy.config import Config
from guard.policy.document import Caution, Document, Problem
from guard.screening.rules import Rule

__all__ = ["cautions", "problems", "shadows"]


def problems(
    config: Config, document: Document, packs: Mapping[str, License], environment: Mapping[str, str], today: date
) -> list[Problem]:
    """Return every contradiction in ``config``; ``document`` says where each value stands."""
    return [
        *models(config, document, packs),
        *lineage(config, document, packs),
        *operator(config, document, packs, today),
        *addresses(config, document),
        *keys(config, document, environment),
        *names(config, document),
        *sources(config, document),
        *clamps(config, document),
        *limits(config, document, packs),
        *acting(config, document, packs),
        *actions(config, document, packs),
        *zone(config, document),
        *owners(config, document),
        *tenants(config, document, packs),
        *terms(config, document, packs, today),
    ]


def cautions(
    config: Config,
    document: Document,
    packs: Mapping[str, License],
    documents: Mapping[str, Document],
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
        *shadow_warnings(config, document, packs, rules, today),
        *expiries(config, document, today),
        *unaccepted(config, document, packs),
        *strangers(config, document),
        *purposes(config, document, packs),
        *unread(config, document, packs),
        *observed(config, document),
    ]
    return tuple(dict.fromkeys(found))
