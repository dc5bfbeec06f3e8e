"""Dangerous changes: where a new policy is looser than the one before it, line by line, to be confirmed in the file.

A line reads ``usage.limits.qwen-2024: 1000000 -> 3000000``. It is refused until the very same line stands under
``confirm:``; one that confirms nothing any more does no harm. What makes a policy stricter needs nobody's word.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from guard.policy.document import Document, Location, Problem, masked, nearest
from guard.policy.load import Loaded, overridden
from guard.policy.looser import (
    believes_more,
    does_less,
    gives_more,
    grants_more,
    holds_less,
    loses,
    opens_places,
    reaches_further,
    reordered,
    trusts_weaker,
    with_networks,
)
from guard.policy.posture import (
    ANY,
    NONE,
    ORDERS,
    OVERLAID,
    REFUSED,
    UNDETERMINED,
    UNLISTED,
    At,
    Fact,
    Posture,
)

EVERY = "all"
"""Of a tenant's models: it is bound to none."""
THERE, GONE = "there", "gone"
"""Of a tenant."""


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
        return masked(" ".join(f"{'.'.join(at)}: {before} -> {after}".split()))


def changes(before: Posture, after: Posture) -> Iterator[Delta]:
    """Yield every change from one policy to the next, in the order of the facts; a tenant that goes is one change."""
    gone = dict.fromkeys(name for name in _tenants(before) if name not in _tenants(after))
    yield from (Delta(("tenants", name), THERE, GONE) for name in gone)
    for at in dict.fromkeys((*before, *after)):
        if at[0] == "tenants" and at[1:2] and at[1] in gone:
            continue
        delta = Delta(at, _value(before, at), _value(after, at))
        if at == ("tenants",) and not reordered(delta.before, delta.after):
            continue
        if delta.before != delta.after:
            yield delta


def dangerous(before: Posture, after: Posture) -> Iterator[Delta]:
    """Yield every change for the looser from one policy to the next."""
    return (delta for delta in changes(before, after) if _loosens(delta, before, after))


def outlived(before: Posture, after: Posture) -> dict[At, Fact]:
    """Return the facts of models and limits in ``before`` that nothing in ``after`` is about.

    What comes back is compared with them: to take a model away for a moment is no way around a confirmation.
    """
    served, there = _served(after), _tenants(after)
    gone = {at[1] for at in before if _is_license(at) and _value(after, at) is None}
    found: dict[At, Fact] = {}
    for at, value in before.items():
        match at:
            case ("models", name, *_):
                left = name in gone
            case ("tenants", tenant, "models", name, *_):
                left = name in gone and tenant in there
            case ("usage", "limits", license_) | ("licenses", license_, *_):
                left = license_ not in served
            case _:
                left = False
        if left:
            found[at] = value
    return found


def unconfirmed(deltas: Sequence[Delta], loaded: Loaded, overrides: Mapping[str, object]) -> list[Problem]:
    """Return a problem for every change that no line under ``confirm`` of the new configuration names.

    And one for every line there that is no change but was most likely meant to be one of these.
    """
    confirmed = frozenset(map(masked, loaded.config.confirm))
    missing = [delta for delta in deltas if delta.line not in confirmed]
    problems = [_problem(delta, loaded) for delta in missing]
    for index, line in enumerate(loaded.config.confirm):
        about = [delta.line for delta in missing if delta.line.split(": ")[0] == line.split(": ")[0]]
        meant = nearest(line, about)
        if meant is not None and all(delta.line != masked(line) for delta in deltas):
            allowed = "the line of a change as it was refused"
            problems.append(loaded.document.problem(("confirm", index), f"'{line}' is no change", allowed, near=meant))
    return [overridden(problem, overrides) for problem in problems]


def spent(deltas: Sequence[Delta], loaded: Loaded) -> list[str]:
    """Return a warning for every confirmation that names none of the changes."""
    lines = {delta.line for delta in deltas}
    left = [line for line in map(masked, loaded.config.confirm) if line not in lines]
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
        case ("tenants", _, name) if name in OVERLAID:
            return _value(posture, OVERLAID[name])
        case ("tenants", tenant, name, kind) if name in OVERLAID:
            return posture.get(("tenants", tenant, name)) or _value(posture, (*OVERLAID[name], kind))
        case ("screening", "unscannable", _):
            return posture.get(at[:2])
        case ("tenants", _, "purpose"):
            return "unknown"
        case ("models", *_):
            return _model_value(posture, at)
        case ("identity", "keys", _, "models", *rest):
            return _value(posture, ("models", *rest))
        case ("identity", "keys", _, "purpose"):
            return "unknown" if posture.get(("identity", "registered_only")) == "false" else None
        case ("surface", "enabled", _):
            return "closed"
        case ("shadows", *_):
            return "enforce"
        case ("usage", "readings", _):
            return "identities"
        case ("usage", "affiliates", _):
            return "include"
    return None


def _model_value(posture: Posture, at: At) -> Fact | None:
    match at:
        case ("models", name, *_) if name == ANY and posture.get(UNLISTED, REFUSED) == REFUSED:
            return None
        case ("models", name, *rest) if name != ANY and ("models", name, "license") not in posture:
            unlisted = posture.get(UNLISTED, REFUSED)
            if unlisted == REFUSED:
                return None
            return unlisted if rest == ["license"] else _value(posture, ("models", ANY, *rest))
        case ("models", _, "license" | "excluded"):
            return None
        case ("models", _, "fields", _):
            return "allow"
        case ("models", _, _):
            return "off"
    return None


def _loosens(delta: Delta, before: Posture, after: Posture) -> bool:
    at, old, new = delta
    if old is None:
        return False  # there was no such thing, or the record is another release's, which did not compare it
    ordered = OVERLAID[at[2]] if len(at) > 2 and at[0] == "tenants" and at[2] in OVERLAID else at
    order = ORDERS.get(ordered, ORDERS.get(ordered[:2]))
    if order is not None:
        return str(old) in order and str(new) in order and order.index(str(new)) < order.index(str(old))
    match at:
        case ("tenants", *_):
            return _tenant_loosens(delta, before, after)
        case ("identity", *_):
            return _identity_loosens(delta, before, after)
        case ("models", *_):
            return _model_loosens(at, old, new, before, after)
        case ("usage", "limits", license_) | ("licenses", license_, _):
            both = license_ in _served(before) and license_ in _served(after)
            return both and isinstance(old, int) and (not isinstance(new, int) or new > old)
        case ("licenses", _, _, "acts"):
            return (old, new) == ("true", "false")
        case ("screening", "judge", _):
            return holds_less(old, new)
        case ("surface", "enabled", _) | ("shadows", *_):
            return (old, new) in {("closed", "open"), ("enforce", "shadow")}
        case ("usage", *_):
            return _usage_loosens(delta, before)
        case ("outputs", "bulk_samples"):
            return isinstance(old, int) and isinstance(new, int) and new > old
        case ("territory", "country_headers"):
            return old != NONE and (new == NONE or believes_more(old, new))
        case ("screening", "rules", _):
            return does_less(old, new)
        case ("unlisted",):
            return new != REFUSED
    return False


def _usage_loosens(delta: Delta, before: Posture) -> bool:
    at, old, new = delta
    match at:
        case ("usage", "readings" | "affiliates", license_):
            return new in {"people", "exclude"} and license_ in _served(before)
        case ("usage", "attestors"):
            return old != NONE and (new == NONE or loses(new, old))
    return False


def _tenant_loosens(delta: Delta, before: Posture, after: Posture) -> bool:
    at, old, new = delta
    match at:
        case ("tenants",):
            return reordered(old, new)
        case ("tenants", _):
            return new == GONE
        case ("tenants", _, "models"):
            return new == EVERY or (old != EVERY and loses(new, old))
        case ("tenants", _, "models", *rest):
            return _model_loosens(("models", *rest), old, new, before, after)
        case ("tenants", _, "match"):
            return loses(old, new)
        case ("tenants", _, "purpose"):
            return grants_more(old, new)
        case ("tenants", _, "rules", id_):
            return ("screening", "rules", id_) not in after and does_less(old, new)
    return False


def _identity_loosens(delta: Delta, before: Posture, after: Posture) -> bool:
    at, old, new = delta
    match at:
        case ("identity", "sources"):
            return trusts_weaker(old, new)
        case ("identity", "trusted_from"):
            return reaches_further(old, new)
        case ("identity", "trusted_headers"):
            trusted = [facts.get(("identity", "trusted_from"), NONE) for facts in (before, after)]
            return believes_more(*(fact if NONE not in trusted else with_networks(fact) for fact in (old, new)))
        case ("identity", "mtls", "from"):
            return reaches_further(old, new)
        case ("identity", "mtls", "header"):
            return new is not None
        case ("identity", "namespace_header"):
            return new is not None
        case ("identity", "jwt", "algorithms"):
            return old != NONE and (new == NONE or loses(new, old))
        case ("identity", "jwt", _):
            return old != NONE and new is not None
        case ("identity", "assertions", _, "algorithms"):
            return new is None or loses(new, old)
        case ("identity", "assertions", _, "trusted_from"):
            return old != NONE and new is not None and (new == NONE or reaches_further(old, new))
        case ("identity", "assertions", _, _):
            return new is not None
        case ("identity", "keys", _, "purpose"):
            return grants_more(old, new)
        case ("identity", "keys", _, "models", *rest):
            return _model_loosens(("models", *rest), old, new, before, after)
    return False


def _model_loosens(at: At, old: Fact | None, new: Fact | None, before: Posture, after: Posture) -> bool:
    """A model that is new, or served no more, is none that was loosened."""
    if old is None or new is None or len(at) < 3:
        return False
    if at[2] == "license":
        return True
    license_: At = (*at[:2], "license")
    if _value(before, license_) != _value(after, license_):
        return False  # what follows from other licenses is told, and confirmed, by their names
    if at[2] == "fields":
        return gives_more(old, new)
    if at[2] == "excluded":
        return opens_places(old, new)
    return old == "block" or (old == "shadow" and new != "block")


def _is_license(at: At) -> bool:
    return at[0] == "models" and at[2:] == ("license",)


def _tenants(posture: Posture) -> dict[str, None]:
    return {at[1]: None for at in posture if at[0] == "tenants" and len(at) > 2}


def _served(posture: Posture) -> set[str]:
    """The ids of the licenses that something served is under."""
    stacks = [str(value) for at, value in posture.items() if _is_license(at)]
    return {license_ for stack in (*stacks, str(posture.get(UNLISTED))) for license_ in stack.split(" + ")}


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
        case ("identity", "keys", name, *what):
            for index, entry in enumerate((document.data.get("identity") or {}).get("keys") or ()):
                if entry.get("name") == name:
                    field = what if len(what) == 1 else what[2:]
                    return document, ("identity", "keys", index, *field)
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
    elif what[0] == "excluded":
        stated = (document.data.get("operator") or {}).get("statements") or ()
        candidates = [
            ("operator", "statements", index) for index, entry in enumerate(stated) if entry.get("about") == "territory"
        ]
    else:
        shadows = document.data.get("shadows") or ()
        candidates = [("shadows", index) for index, entry in enumerate(shadows) if entry.get("category") == what[0]]
        candidates += [(*owner, "actions", *what), ("screening", "actions", *what)]
    return next((location for location in candidates if location in document.lines), owner)
