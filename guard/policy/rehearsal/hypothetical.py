"""A request that nobody sent: what somebody says about it, turned into the head and the bytes a client would send."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from guard.exchange.certificate import XFCC
from guard.exchange.credential import digest_key
from guard.exchange.head import Head
from guard.exchange.snapshot import Entitlement, IdentityPolicy, Snapshot
from guard.exchange.trusted import TrustedHeader
from guard.wire.body import encode

PROMPT = "What is the tallest mountain on each continent?"
"""What is asked where nobody says what: nothing that any policy minds."""
REFERENCE = "hypothetical"
STRANGER = "192.0.2.1"
"""An address of nobody's (RFC 5737), where the policy trusts no hop."""
_KEY = "a-key-that-exists-in-no-configuration"
_TOKEN = "eyJoeXBvdGhldGljYWw.e30.e30"  # noqa: S105 - has the form of a JSON Web Token, and no signature

SOURCES = ("mtls", "jwt", "trusted_header", "api_key", "body")
"""How a caller can say who the user is, as in ``identity.sources``."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends the request, and how that is known."""

    user: str | None = "u1"
    """None: the request names nobody."""
    source: str = "body"
    """One of SOURCES. ``api_key``: a registered key that belongs to the user."""
    tenant: str | None = None
    """The request carries a registered key of this application or tenant."""
    purpose: str | None = None
    """What ``x-guard-purpose`` says; None: the header is not there."""
    country: str | None = None
    """What the proxy in front says (ISO 3166), if the policy has a header for it."""
    claims: Mapping[str, Any] = field(default_factory=dict)
    """Further claims of the token, for source ``jwt``."""


@dataclass(frozen=True, slots=True)
class Request:
    """One hypothetical request, and the world it arrives in."""

    at: float
    """Epoch seconds."""
    method: str = "POST"
    path: str = "/v1/chat/completions"
    headers: tuple[tuple[str, str], ...] = ()
    """Beside those that say who the caller is."""
    model: str | None = None
    """Served name; None: the body names none beside its own."""
    text: str = PROMPT
    """The user's words, where no body is given."""
    body: Mapping[str, Any] | bytes | None = None
    """The whole body: a document, which model and user are added to, or bytes, which are sent as they are."""
    caller: Caller = Caller()
    users: int = 0
    """Other users who were counted in the period before."""
    known: bool = False
    """True if this user is counted in the period already."""
    answer: str | None = None
    """What the model says, if that is to be screened too."""


def head_of(request: Request, snapshot: Snapshot) -> Head:
    """Return the head that ``request`` would arrive with under ``snapshot``."""
    caller, policy = request.caller, snapshot.identity
    shown = _shown(snapshot, caller)
    headers = [("content-type", "application/json")]
    if shown.claims is not None or shown.key is not None:
        headers.append(("authorization", f"Bearer {_TOKEN if shown.claims is not None else _KEY}"))
    if shown.namespace is not None and policy.namespace_header is not None:
        headers.append((policy.namespace_header.decode("latin-1"), shown.namespace))
    hop = _hop(policy, caller)
    if hop is not None and caller.user is not None:
        headers.append((hop.name.decode("latin-1"), _said(hop, caller.user)))
    if caller.country is not None and snapshot.surface.country_headers:
        headers.append((snapshot.surface.country_headers[0].decode("latin-1"), caller.country))
    if caller.purpose is not None:
        headers.append(("x-guard-purpose", caller.purpose))
    given = {name.lower() for name, _ in request.headers}
    headers = [(name, value) for name, value in headers if name not in given]
    headers += [(name.lower(), value) for name, value in request.headers]
    raw = tuple((name.encode("latin-1"), value.encode("utf-8")) for name, value in headers)
    networks = hop.networks if hop is not None else policy.trusted_from
    peer = str(networks[0].network_address) if networks else STRANGER
    return Head(request.method.upper(), request.path, raw, peer, REFERENCE)


def body_of(request: Request) -> bytes:
    """Return the bytes of the body that ``request`` would arrive with."""
    if isinstance(request.body, bytes):
        return request.body
    anthropic = request.path.startswith("/v1/messages")
    document: dict[str, Any] = dict(_asking(request) if request.body is None else request.body)
    if request.model is not None:
        document.setdefault("model", request.model)
    user = request.caller.user if request.caller.source == "body" else None
    if user is not None and anthropic:
        document.setdefault("metadata", {"user_id": user})
    elif user is not None:
        document.setdefault("user", user)
    return encode(document)


def known_to(snapshot: Snapshot, caller: Caller) -> Snapshot:
    """Return ``snapshot`` as if it knew the caller's credential: a key of the tenant's or the user's, a valid token.

    Real ones are known by digest or signature alone, so nobody can show them here. What they entitle to is the
    policy's own where it knows the tenant.
    """
    policy, shown = snapshot.identity, _shown(snapshot, caller)
    if shown.claims is not None:
        claims = {"iss": "", **shown.claims}
        return replace(snapshot, identity=replace(policy, verify_jwt=lambda _token: claims))
    if shown.key is None:
        return snapshot
    entitlement = _entitlement(policy, caller, shown.key)
    return replace(snapshot, identity=replace(policy, keys={**policy.keys, digest_key(_KEY): entitlement}))


def settings_for(licenses: Sequence[str], model: str, caller: Caller) -> dict[str, Any]:
    """Return the settings under which licenses alone are tried: a proxy is believed where the caller needs one."""
    settings: dict[str, Any] = {"models": {model: {"license": list(licenses)}}}
    if caller.country is not None:
        settings["territory"] = {"country_headers": ["x-country"]}
    if caller.country is not None or caller.source in {"trusted_header", "mtls"}:
        settings["identity"] = {"trusted_from": [f"{STRANGER}/32"]}
    if caller.source == "mtls":
        settings["identity"]["mtls"] = {}
    return settings


def _hop(policy: IdentityPolicy, caller: Caller) -> TrustedHeader | None:
    """The header in which a hop names the user, if the caller is known by one."""
    if caller.source == "mtls":
        return policy.mtls
    return next(iter(policy.trusted_headers), None) if caller.source == "trusted_header" else None


def _said(hop: TrustedHeader, user: str) -> str:
    if hop.name == XFCC:
        escaped = user.replace("\\", "\\\\").replace('"', '\\"')
        return f'Subject="{escaped}"'
    return user if hop.member is None else json.dumps({hop.member: user})


class _Shown(NamedTuple):
    """What the caller shows, beside the user's name."""

    key: str | None = None
    """Name of the registered key."""
    claims: Mapping[str, Any] | None = None
    namespace: str | None = None


def _shown(snapshot: Snapshot, caller: Caller) -> _Shown:
    """Return what makes the request the tenant's, by whatever the policy knows that tenant."""
    tenants = snapshot.tenants.ordered if snapshot.tenants is not None else ()
    match = next((tenant.match for tenant in tenants if tenant.name == caller.tenant), None)
    key = min(match.keys) if match is not None and match.keys else None
    namespace = min(match.namespaces) if match is not None and match.namespaces and key is None else None
    claim = match.claim if match is not None and key is None and namespace is None else None
    if caller.source == "jwt" or claim is not None:
        subject = {snapshot.identity.jwt_claim: caller.user} if caller.source == "jwt" else {}
        return _Shown(None, {**subject, **dict([claim] if claim is not None else ()), **caller.claims}, namespace)
    if caller.source == "api_key" or (caller.tenant is not None and match is None):
        key = key or caller.tenant or "hypothetical"
    return _Shown(key, None, namespace)


def _entitlement(policy: IdentityPolicy, caller: Caller, name: str) -> Entitlement:
    registered = (*policy.keys.values(), *(entry[1] for entry in policy.stored.values() if not entry[0].revoked))
    named = [entitlement for entitlement in registered if entitlement.name == name]
    if caller.source != "api_key":
        return named[0] if named else Entitlement(name)
    own = next((entitlement for entitlement in named if entitlement.user == caller.user), None)
    return own or replace(named[0] if named else Entitlement(name), user=caller.user)


def _asking(request: Request) -> Mapping[str, Any]:
    """Return the least body of the request's surface that asks for its text."""
    said = [{"role": "user", "content": request.text}]
    match request.path:
        case "/v1/completions":
            return {"prompt": request.text}
        case "/v1/responses" | "/v1/embeddings" | "/pooling" | "/classify":
            return {"input": request.text}
        case "/v1/messages":
            return {"messages": said, "max_tokens": 256}
        case "/v1/chat/completions/batch":
            return {"messages": [said]}
        case "/tokenize":
            return {"prompt": request.text}
        case _:
            return {"messages": said}
