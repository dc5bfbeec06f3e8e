"""What contradicts itself between license packs: two that claim the same repository, name or version."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from guard.licensing.license import License
from guard.policy.document import Document, Location, Problem, nearest
from guard.policy.patterns import organization, overlap, within

Packs = Mapping[str, tuple[License, Document]]


class _Claim(NamedTuple):
    """One pattern and the licenses that it puts a repository under."""

    pattern: str
    licenses: tuple[str, ...]
    id: str
    """Of the pack that says so."""
    at: Location


def overlaps(packs: Packs) -> Iterator[Problem]:
    """Yield a problem for every repository pattern, id and version that two packs lay claim to, at the later one.

    Stated lineage beats the patterns of single packs, so those may meet where a stack is stated for what fits both.
    """
    derived = [claim for id_, (license_, _) in packs.items() for claim in _derived(id_, license_)]
    stacks = [claim.pattern for claim in derived]
    plain = [
        _Claim(pattern, (id_,), id_, ("models", index))
        for id_, (license_, _) in packs.items()
        for index, pattern in enumerate(license_.models)
    ]
    rivals: dict[_Claim, list[_Claim]] = defaultdict(list)
    for one, other in _pairs(derived):
        if set(one.licenses) != set(other.licenses) and overlap(one.pattern, other.pattern):
            rivals[other].append(one)
    for one, other in _pairs(plain):
        if one.id == other.id or not overlap(one.pattern, other.pattern):
            continue
        if not any(within(claim.pattern, stack) for claim in (one, other) for stack in stacks):
            rivals[other].append(one)
    for claim, others in rivals.items():
        yield _claimed(packs, claim, others)
    yield from _lineage(packs)
    yield from _names(packs)


def _derived(id_: str, license_: License) -> Iterator[_Claim]:
    for index, derivation in enumerate(license_.derived):
        for position, pattern in enumerate(derivation.models):
            yield _Claim(pattern, derivation.licenses, id_, ("derived", index, "models", position))


def _pairs(claims: list[_Claim]) -> Iterator[tuple[_Claim, _Claim]]:
    """Every two claims that may meet, the earlier first: those on one organization, and the open ones on all."""
    by_organization: dict[str | None, list[_Claim]] = defaultdict(list)
    earlier: list[_Claim] = []
    for claim in claims:
        name = organization(claim.pattern)
        for other in earlier if name is None else (*by_organization[name], *by_organization[None]):
            yield other, claim
        by_organization[name].append(claim)
        earlier.append(claim)


def _claimed(packs: Packs, claim: _Claim, rivals: list[_Claim]) -> Problem:
    """The first of those that claim the same repositories is named, and how many more there are."""
    first, document = rivals[0], packs[rivals[0].id][1]
    place = f"{document.file}:{document.line(document.origin(first.at))}"
    more = f", and {len(rivals) - 1} more" if len(rivals) > 1 else ""
    return packs[claim.id][1].problem(
        claim.at,
        f"'{claim.pattern}' fits what is under {' + '.join(first.licenses)} by '{first.pattern}' in {place}{more}",
        "patterns of repositories of its own, or the stack of both under derived",
    )


def _lineage(packs: Packs) -> Iterator[Problem]:
    for license_, document in packs.values():
        for index, derivation in enumerate(license_.derived):
            for position, id_ in enumerate(derivation.licenses):
                if id_ not in packs:
                    at = ("derived", index, "licenses", position)
                    near = nearest(id_, packs)
                    yield document.problem(at, f"unknown license '{id_}'", "the id of a pack", near=near)


def _names(packs: Packs) -> Iterator[Problem]:
    families: dict[str, License] = {}
    aliases: dict[str, str] = {}
    for id_, (license_, document) in packs.items():
        first = families.setdefault(license_.version, license_)
        if first.family != license_.family and not document.misses(("family",), ("version",)):
            yield document.problem(
                ("version",),
                f"'{license_.version}' of family '{license_.family}' is of '{first.family}' in pack {first.id}",
                "a version of one family",
            )
        for index, alias in enumerate(license_.aliases):
            owner = alias if alias in packs else aliases.setdefault(alias, id_)
            if owner != id_:
                yield document.problem(
                    ("aliases", index), f"'{alias}' is a name of license {owner} already", "a name of its own"
                )
