"""Tenants: named overlays that tighten the policy for some callers, and who they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from guard.exchange.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Match:
    """Whose requests are a tenant's: any one of these is enough."""

    keys: frozenset[str] = frozenset()
    """Names of registered API keys."""
    claim: tuple[str, str] | None = None
    """A claim of a verified token, and the value that it has or that its list holds."""
    namespaces: frozenset[str] = frozenset()
    """Values of ``IdentityPolicy.namespace_header``, as a trusted hop wrote them."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """One overlay. It tightens: nothing that the base policy refuses is served because of it."""

    name: str
    match: Match
    overlay: Mapping[str, Any] = field(default_factory=dict)
    """Attributes of the snapshot that are other than the base policy's: ``models``, ``rules``, ``surface`` ..."""
    models: frozenset[str] | None = None
    """Names of the models it may use; None: all of them."""
    purpose: str | None = None
    """The most that its answers may be used for; None: the overlay says nothing about it."""
    terms: frozenset[str] = frozenset()
    """Ids of the licenses whose terms it accepted."""
    fields: frozenset[str] = frozenset()
    """Capabilities on which it has a setting: no key of its callers opens them further."""
    _views: list[tuple[Snapshot, Snapshot]] = field(default_factory=list, init=False, repr=False, compare=False)

    def view(self, base: Snapshot) -> Snapshot:
        """Return ``base`` as this tenant sees it: the same load, the same hash, the overlay applied. Made once."""
        made = self._views[0] if self._views else None
        if made is None or made[0] is not base:
            made = base, replace(base, **self.overlay)
            self._views[:] = [made]
        return made[1]


class Tenants:
    """The tenants of one snapshot in the order of the file: of several that match, the first applies."""

    __slots__ = ("_claims", "_keys", "_namespaces", "ordered")

    def __init__(self, tenants: Sequence[Tenant]) -> None:
        self.ordered = tuple(tenants)
        self._keys: dict[str, int] = {}
        self._claims: dict[str, dict[str, int]] = {}
        self._namespaces: dict[str, int] = {}
        for place, tenant in enumerate(self.ordered):
            for key in tenant.match.keys:
                self._keys.setdefault(key, place)
            for namespace in tenant.match.namespaces:
                self._namespaces.setdefault(namespace, place)
            if tenant.match.claim is not None:
                name, value = tenant.match.claim
                self._claims.setdefault(name, {}).setdefault(value, place)

    @property
    def read_claims(self) -> bool:
        """True if a token's claims may decide."""
        return bool(self._claims)

    def of(self, key: str | None, claims: Mapping[str, object] | None, namespace: str | None) -> Tenant | None:
        """Return the tenant of a request with the registered key ``key``, verified ``claims`` and ``namespace``."""
        places = []
        if key in self._keys:
            places.append(self._keys[key])
        if namespace in self._namespaces:
            places.append(self._namespaces[namespace])
        if claims is not None:
            for claim, by_value in self._claims.items():
                value = claims.get(claim)
                held = value if isinstance(value, list) else [value]
                names = (str(one) for one in held if isinstance(one, (str, int)) and not isinstance(one, bool))
                places += [by_value[name] for name in names if name in by_value]
        return self.ordered[min(places)] if places else None
