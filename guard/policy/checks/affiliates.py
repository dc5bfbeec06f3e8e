"""Readings of whether affiliates count are of licenses that leave it open."""

from collections.abc import Iterator, Mapping

from guard.licensing.license import License
from guard.policy.config import Config
from guard.policy.document import Document, Location, Problem
from guard.policy.snapshot import user_thresholds


def affiliates(config: Config, document: Document, packs: Mapping[str, License]) -> Iterator[Problem]:
    """Yield a problem for every reading of a license that is unknown, counts no users, or says what counts itself."""
    for id_ in config.usage.affiliates:
        at: Location = ("usage", "affiliates", id_)
        if id_ not in packs:
            if not document.misses(("policies",)):
                yield document.problem(at, f"unknown license '{id_}'", "the id of a pack", packs)
            continue
        said = list(dict.fromkeys(part.affiliates for part in user_thresholds(packs[id_])))
        if "unmentioned" in said or document.misses(("packs", id_, "thresholds")):
            continue
        if not said:
            found = f"a reading for '{id_}', which has no threshold on users"
        else:
            clause = user_thresholds(packs[id_])[0].clause
            found = f"a reading for '{id_}', which says itself that affiliates are {' and '.join(said)} ({clause})"
        yield document.problem(at, found, "a license that does not mention affiliates")
