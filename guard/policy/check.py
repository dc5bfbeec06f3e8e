"""What contradicts itself in a configuration (problems), and what somebody should know of it (warnings)."""

from collections.abc import Mapping

from guard.licensing.license import License
from guard.policy.checks.actions import actions
from guard.policy.checks.addresses import addresses
from guard.policy.checks.keys import keys
from guard.policy.checks.limits import limits
from guard.policy.checks.lineage import lineage
from guard.policy.checks.models import models
from guard.policy.checks.warnings import warnings
from guard.policy.checks.zone import zone
from guard.policy.config import Config
from guard.policy.document import Document, Problem

__all__ = ["problems", "warnings"]


def problems(
    config: Config, document: Document, packs: Mapping[str, License], environment: Mapping[str, str]
) -> list[Problem]:
    """Return every contradiction in ``config``; ``document`` says where each value stands."""
    return [
        *models(config, document, packs),
        *lineage(config, document, packs),
        *addresses(config, document),
        *keys(config, document, environment),
        *limits(config, document, packs),
        *actions(config, document, packs),
        *zone(config, document),
    ]
