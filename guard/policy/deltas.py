"""Dangerous changes: where a new policy is looser than the one before it, line by line, to be confirmed in the file.

A line reads ``usage.limits.qwen-2024: 1000000 -> 3000000``. It is refused until the very same line stands under
``confirm:``; one that confirms nothing any more does no harm. What makes a policy stricter needs nobody's word.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from guard.licensing.capability import Setting
from guard.policy.document import Document, Location, Problem
from guard.policy.load import Loaded, overridden
from guard.policy.posture import ANY, ORDERS, OVERLAID, REFUSED, UNDETERMINED, UNLISTED, At, Fact, Posture

EVERY = "all"
"""Of a tenant's models: it is bound to none."""


class Delta(NamedTuple):
    """One change for the looser. ``before`` and ``after`` are None where there is no such thing."""

    at: At
    before: Fact | None
    after: Fact | None

    @property
    def line(self) -> str:
        """The change as it is confirmed."""
        before, after = (("none" if value is None else value) for value in (self.before, self.after))
        at = self.at
        if at == UNLISTED:
            at = ("unknown_models",) if {before, after} == {REFUSED, UNDETERMINED} else ("license",)
            before = "none" if before == REFUSED and at == ("license",) else before
        return f"{'.'.join(at)}: {before} -> {after}"


def changes(before: Posture, after: Posture) -> Iterator[Delta]:
    """Yield every change from one policy to the next, in the order of the facts."""
    for at in dict.fromkeys((*before, *after)):
        delta = Delta(at, _value(before, at), _value(after, at))
        if delta.before != delta.after:
            yield delta


def dangerous(before: Posture, after: Posture) -> Iterator[Delta]:
    """Yield every change for the looser from one policy to the next."""
    return (delta for delta in changes(before, after) if _loosens(delta, before, after))


def unconfirmed(deltas: Sequence[Delta], loaded: Loaded, overrides: Mapping[str, object]) -> list[Problem]:
    """Return a problem for every change that no line under ``confirm`` of the new configuration names."""
    confirmed = frozenset(loaded.config.confirm)
    problems = (_problem(delta, loaded) for delta in deltas if delta.line not in confirmed)
    return [overridden(problem, overrides) for problem in problems]


def spent(deltas: Sequence[Delta], loaded: Loaded) -> list[str]:
    """Return a warning for every confirmation that names none of the changes."""
    lines = {delta.line for delta in deltas}
    left = [line for line in loaded.config.confirm if line not in lines]
    return [f"confirm: '{line}' is no change any more, and can go" for line in left]


def _value(posture: Posture, at: At) -> Fact | None:
    """Return the fact at ``at``, or what holds where nothing is said; None: there is no such thing."""
    if at in posture:
        return posture[at]
    match at:
        case ("tenants", _, "models"):
            return EVERY
        case ("tenants", _, "models", *rest):
            return _value(posture, ("models", *rest))
        case ("tenants", _, name):
            return _value(posture, OVERLAID[name])
        case ("models", name, *_) if name == ANY and posture[UNLISTED] == REFUSED:
            return None
        case ("models", name, *rest) if name != ANY and ("models", name, "license") not in posture:
            unlisted = posture[UNLISTED]
            if unlisted == REFUSED:
                return None
            return unlisted if rest == ["license"] else _value(posture, ("models", ANY, *rest))
        case ("models", _, "fields", _):
            return "allow"
        case ("models", _, _):
            return "off"
        case ("surface", "enabled", _):
            return "closed"
        case ("shadows", *_):
            return "enforce"
        case ("usage", "readings", _):
            return "identities"
    return None


def _loosens(delta: Delta, before: Posture, after: Posture) -> bool:
    at, old, new = delta
    order = ORDERS.get(OVERLAID[at[2]] if len(at) == 3 and at[0] == "tenants" and at[2] in OVERLAID else at)
    if order is not None:
        return order.index(str(new)) < order.index(str(old))
    match at:
        case ("tenants", _, "models"):
            return new == EVERY or (old != EVERY and not _names(new) <= _names(old))
        case ("tenants", _, "models", *rest):
            return _model_loosens(("models", *rest), old, new, before, after)
        case ("models", *_):
            return _model_loosens(at, old, new, before, after)
        case ("usage", "limits", license_) | ("licenses", license_, _):
            both = license_ in _served(before) and license_ in _served(after)
            return both and isinstance(old, int) and (not isinstance(new, int) or new > old)
        case ("licenses", _, _, "acts"):
            return (old, new) == ("true", "false")
        case ("surface", "enabled", _):
            return new == "open"
        case ("shadows", *_):
            return new == "shadow"
        case ("usage", "readings", license_):
            return new == "people" and license_ in _served(before)
        case ("territory", "country_headers"):
            return new == "none"
        case ("unlisted",):
            return new != REFUSED
    return False


def _model_loosens(at: At, old: Fact | None, new: Fact | None, before: Posture, after: Posture) -> bool:
    """A model that is new, or served no more, is none that was loosened."""
    if old is None or new is None:
        return False
    if at[2] == "license":
        return True
    license_: At = (*at[:2], "license")
    if _value(before, license_) != _value(after, license_):
        return False  # what follows from other licenses is told, and confirmed, by their names
    if at[2] == "fields":
        return _strictness(str(new)) < _strictness(str(old))
    return old == "block"


def _strictness(text: str) -> tuple[int, int]:
    action, _, limit = text.partition(" to ")
    return Setting(action, int(limit) if limit else None).strictness


def _names(listed: Fact | None) -> set[str]:
    return set(str(listed).split(", "))


def _served(posture: Posture) -> set[str]:
    """The ids of the licenses that something served is under."""
    stacks = [str(value) for at, value in posture.items() if at[0] == "models" and at[2:] == ("license",)]
    return {license_ for stack in (*stacks, str(posture[UNLISTED])) for license_ in stack.split(" + ")}


def _problem(delta: Delta, loaded: Loaded) -> Problem:
    document, location = _place(delta, loaded.document, loaded.packs)
    found = f'a dangerous change: "{delta.line}"'
    return document.problem(location, found, "that line under confirm:, or the value in force")


def _place(delta: Delta, document: Document, packs: Mapping[str, Document]) -> tuple[Document, Location]:
    """Return where the change stands, as exactly as it can be told."""
    match delta.at:
        case ("licenses", license_, threshold, *_) if license_ in packs:
            pack = packs[license_]
            listed = pack.data.get("thresholds") or ()
            for index, item in enumerate(listed):
                if item.get("id") == threshold:
                    return pack, ("thresholds", index, "value")
            return pack, ("thresholds",)
        case ("models", name, *rest):
            return document, _cause(rest, ("models", name), document)
        case ("tenants", name, "models", _, *rest):
            return document, _cause(rest, ("tenants", name), document)
        case ("shadows", kind, name):
            for index, entry in enumerate(document.data.get("shadows") or ()):
                if entry.get(kind) == name:
                    return document, ("shadows", index)
        case ("unlisted",):
            return document, ("license",) if ("license",) in document.lines else ("unknown_models",)
    return document, delta.at


def _cause(what: Sequence[str], owner: Location, document: Document) -> Location:
    """Return where it is said of a model: its own entry, unless a setting for all of them says it."""
    if what == ["license"]:
        return (*owner, "license")
    if what[0] == "fields":
        candidates: list[Location] = [(*owner, *what), ("outputs", *what)]
    else:
        shadows = document.data.get("shadows") or ()
        candidates = [("shadows", index) for index, entry in enumerate(shadows) if entry.get("category") == what[0]]
        candidates += [(*owner, "actions", *what), ("screening", "actions", *what)]
    return next((location for location in candidates if location in document.lines), owner)
