"""Shell patterns of repository names: whether two of them can fit the same repository."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import lru_cache

_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789-_./"
"""What repository names and revisions are made of, lower case."""


def overlap(one: str, other: str) -> bool:
    """Return True if a repository, at some revision, fits both patterns and neither says more of it than the other.

    A pattern that names a revision (``org/model@3f2a*``) beats one that does not: those two never compete.
    """
    name, _, revision = one.lower().partition("@")
    other_name, _, other_revision = other.lower().partition("@")
    if bool(revision) != bool(other_revision):
        return False
    return _meet(name, other_name) and _meet(revision, other_revision)


def within(one: str, other: str) -> bool:
    """Return True if whatever fits ``one`` fits ``other`` too, and is said at least as exactly there."""
    name, _, revision = one.lower().partition("@")
    other_name, _, other_revision = other.lower().partition("@")
    return fnmatchcase(name, other_name) and (not other_revision or fnmatchcase(revision, other_revision))


def organization(pattern: str) -> str | None:
    """Return the organization a pattern is limited to, lower case; None if it is open."""
    organization, slash, _ = pattern.lower().partition("/")
    return organization if slash and not any(sign in organization for sign in "*?[") else None


@lru_cache(maxsize=4096)
def _meet(one: str, other: str) -> bool:
    """True if some text fits both patterns: a walk over pairs of positions, each pair once."""
    first, second = tuple(_parts(one)), tuple(_parts(other))
    todo, seen = [(0, 0)], {(0, 0)}
    while todo:
        at, to = todo.pop()
        if at == len(first) and to == len(second):
            return True
        star, other_star = at < len(first) and first[at] == "*", to < len(second) and second[to] == "*"
        steps = [(at + 1, to)] if star else []
        steps += [(at, to + 1)] if other_star else []
        if at < len(first) and to < len(second) and _share(first[at], second[to]):
            steps.append((at + (not star), to + (not other_star)))
        for step in steps:
            if step not in seen:
                seen.add(step)
                todo.append(step)
    return False


def _parts(pattern: str) -> Iterator[str]:
    """The letters, wildcards and bracketed sets of a pattern."""
    at = 0
    while at < len(pattern):
        end = pattern.find("]", at + 2) if pattern[at] == "[" else -1
        end = at if end < 0 else end
        yield pattern[at : end + 1]
        at = end + 1


def _share(one: str, other: str) -> bool:
    if "*" in {one, other} or one == other:
        return True
    if len(one) == len(other) == 1 and "?" not in {one, other}:
        return False
    return any(fnmatchcase(letter, one) and fnmatchcase(letter, other) for letter in _LETTERS)
