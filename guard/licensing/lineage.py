"""From a model's name to the licenses it is under, and to the family and version an exception clause speaks of.

Family never identifies a license: only repository patterns and stated lineage do. For the *target* of training a
family is enough, because that is what the exception clauses name.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import NamedTuple

from guard.licensing.license import License

FAMILY_NAMES: Mapping[str, str] = {
    "mixtral": "mistral",
    "ministral": "mistral",
    "pixtral": "mistral",
    "codestral": "mistral",
    "codegemma": "gemma",
    "paligemma": "gemma",
    "qwq": "qwen",
    "stablelm": "stability",
    "tongyi": "qwen",
    **{
        name: name
        for name in (
            "baichuan", "bert", "bloom", "chatglm", "falcon", "glm", "gpt", "granite", "internlm", "minimax", "mpt",
            "nemotron", "olmo", "opt", "phi", "pythia", "roberta", "smollm", "starcoder", "t5", "yi",
        )
    },
}  # fmt: skip
"""First words of model names that name a family of their own, beyond the families of the loaded packs."""


class Target(NamedTuple):
    """A model that is to learn from outputs, as far as its name tells."""

    name: str
    families: tuple[str, ...]
    versions: tuple[str, ...] = ()
    """As in ``License.version``; empty where the name gives a family only."""
    basis: str = "name"
    """``declared`` (a family, version or license id was given), ``repository`` (a pack lists it) or ``name``."""


def stacks(name: str, licenses: Mapping[str, License], revision: str = "") -> list[tuple[str, ...]]:
    """Return the different stacks of license ids that the repository ``name`` may be under; empty when none is known.

    Stated lineage (a distilled model) beats the patterns of single packs, and a pattern that names the ``revision``
    (``org/model@3f2a*``) one that does not: some licensors replaced the license in place. More than one result is an
    ambiguity that only the operator can settle.
    """
    derived = [(part.licenses, part.models) for license_ in licenses.values() for part in license_.derived]
    plain = [((license_.id,), license_.models) for license_ in licenses.values()]
    for candidates in (derived, plain):
        fits = [(stack, _fit(name, revision, patterns)) for stack, patterns in candidates]
        best = max((fit for _, fit in fits), default=0)
        if best:
            return sorted({stack for stack, fit in fits if fit == best})
    return []


def resolve_target(name: str, licenses: Mapping[str, License]) -> Target | None:
    """Return what ``name`` says about lineage, or None when nothing is known about it.

    ``name`` may be a license id, a family or version (``llama-2``), a repository that a pack lists, or any model name
    that begins with a known version or family.
    """
    wanted = name.strip().lower()
    by_id = licenses.get(wanted)
    if by_id is not None:
        return Target(name, (by_id.family,), (by_id.version,), "declared")
    versions = {license_.version: license_.family for license_ in licenses.values()}
    if wanted in versions:
        exact = () if versions[wanted] == wanted and _divided(wanted, licenses) else (wanted,)
        return Target(name, (versions[wanted],), exact, "declared")
    if wanted in versions.values():
        return Target(name, (wanted,), (), "declared")
    for stack in stacks(name, licenses):
        found = [licenses[id_] for id_ in stack if id_ in licenses]
        if found:
            return Target(name, _distinct(license_.family for license_ in found),
                          _distinct(license_.version for license_ in found), "repository")  # fmt: skip
    return _by_words(name, versions)


def same_model(name: str, other: str) -> bool:
    """Return whether two names are of one model: whoever keeps it and however its words are joined do not matter."""
    return _normal(name.rsplit("/", 1)[-1]) == _normal(other.rsplit("/", 1)[-1])


def _by_words(name: str, versions: Mapping[str, str]) -> Target | None:
    words = _normal(name.rsplit("/", 1)[-1])
    matching = [version for version in versions if _begins(words, _normal(version))]
    if matching:
        best = max(matching, key=len)
        return Target(name, (versions[best],), (best,) if best != versions[best] else ())
    first = re.match(r"[a-z]+", words)
    known = {**FAMILY_NAMES, **{family: family for family in versions.values()}}
    if first and first[0] in known:
        return Target(name, (known[first[0]],))
    return None


def _begins(words: str, version: str) -> bool:
    """Whole: ``llama-3`` begins ``llama-3-8-b``, not ``llama-3.1-8-b``."""
    return words == version or words.startswith(version + "-")


def _divided(family: str, licenses: Mapping[str, License]) -> bool:
    return any(license_.family == family and license_.version != family for license_ in licenses.values())


def _distinct(values: Iterator[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


@lru_cache(maxsize=1024)
def _normal(text: str) -> str:
    """Lower case, words joined by hyphens, letters apart from digits: ``Meta-Llama3.1_8B`` is ``llama-3.1-8-b``."""
    joined = re.sub(r"[_\s]+", "-", text.lower()).removeprefix("meta-")
    return re.sub(r"(?<=[a-z])(?=\d)|(?<=\d)(?=[a-z])", "-", joined)


def _fit(name: str, revision: str, patterns: Collection[str]) -> int:
    """Return 2 if a pattern fits name and revision, 1 if one fits the name whatever the revision, and else 0."""
    fit, lowered = 0, name.lower()
    for pattern in patterns:
        repository, _, of = pattern.lower().partition("@")
        if fnmatchcase(lowered, repository) and (not of or fnmatchcase(revision.lower(), of)):
            fit = max(fit, 2 if of else 1)
    return fit
