"""Who is the end user? The first source of the trust order that answers wins; a weaker one never overrides it."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address

from guard.exchange.credential import digest_key
from guard.exchange.exchange import Exchange
from guard.exchange.identity import Assurance, Identity
from guard.exchange.refusal import Code, Refusal
from guard.exchange.tenant import Tenants
from guard.usage.pseudonym import normalize_subject, strip_session

BODY_FIELDS = ("user", "metadata.user_id", "safety_identifier")
"""In the order gateways have made usual; ``prompt_cache_key`` is a conversation, never a person."""


SINGLE = (b"authorization", b"x-api-key", b"x-guard-purpose")
"""Headers that say who sends a request or what for."""

INVALID_TOKEN = "The bearer token is not valid."  # noqa: S105 - a message


def identify(exchange: Exchange) -> Refusal | None:
    """Set the exchange's tenant and identity, or refuse where the policy demands a better identity.

    The tenant is known by what cannot be made up: a registered key, a claim of a verified token, a namespace that a
    trusted hop wrote. From here on the exchange has the snapshot as that tenant sees it.

    Trust order (``identity.sources``):
    1. ``jwt``: a bearer token whose signature verifies; an invalid one is refused, never ignored.
    2. ``trusted_header``: a header set by a hop in ``trusted_from``.
    3. ``api_key``: a registered key that belongs to one person.
    4. ``body``: ``user``, ``metadata.user_id``, ``safety_identifier``, namespaced by the application's registered key.
    Else the credential itself, or nobody, as ``identity.unidentified`` says.
    """
    policy = exchange.snapshot.identity
    for name in SINGLE:
        if exchange.head.header_count(name) > 1:
            return exchange.refuse(_twice(name.decode()))
    credential, other = _credentials(exchange)
    verifiable = policy.verify_jwt is not None and "jwt" in policy.sources
    token = credential if verifiable and credential and _looks_like_jwt(credential) else None
    digest = digest_key(credential) if credential and token is None else None
    exchange.entitlement = policy.keys.get(digest) if digest else None
    if other is not None:
        # Two credentials: a registered key is known by either header, so that none hides it, and two are two senders.
        registered = policy.keys.get(digest_key(other))
        if exchange.entitlement is not None and registered not in {None, exchange.entitlement}:
            return exchange.refuse(Refusal(400, Code.MALFORMED, "Two registered API keys were sent; allowed: one."))
        exchange.entitlement = exchange.entitlement or registered
    if exchange.snapshot.tenants is not None:
        refusal = _place(exchange, exchange.snapshot.tenants, token)
        if refusal is not None:
            return refusal
    if policy.registered_only and exchange.entitlement is None and token is None:
        refusal = exchange.refuse(Refusal(401, Code.IDENTITY_REQUIRED, "A registered API key is required."))
        if refusal is not None:
            return refusal
    for source in policy.sources:
        found = _SOURCES[source](exchange, token)
        if isinstance(found, Refusal):
            refusal = exchange.refuse(found)
            if refusal is not None:
                return refusal  # else it is only recorded: the next source may know the user, who is counted
        elif found:
            return None
    return _unidentified(exchange, digest)


def _place(exchange: Exchange, tenants: Tenants, token: str | None) -> Refusal | None:
    """Set the tenant, if the request is one's, and go on with the snapshot as the tenant sees it."""
    policy, head, header = exchange.snapshot.identity, exchange.head, exchange.snapshot.identity.namespace_header
    claims: Mapping[str, object] | None = None
    namespace: str | None = None
    if token is not None and policy.verify_jwt is not None and tenants.read_claims:
        claims = policy.verify_jwt(token)
        if claims is None:
            # Whatever else names the user: who shows a token that does not verify is not to choose the tenant by it.
            refusal = exchange.refuse(Refusal(401, Code.IDENTITY_REQUIRED, INVALID_TOKEN))
            if refusal is not None:
                return refusal
    if header is not None and peer_trusted(head.peer, policy.trusted_from):
        if head.header_count(header) > 1:
            return exchange.refuse(_twice(header.decode()))
        namespace = head.header(header)
    entitlement = exchange.entitlement
    tenant = tenants.of(entitlement.name if entitlement is not None else None, claims, namespace)
    if tenant is not None:
        exchange.tenant, exchange.snapshot = tenant, tenant.view(exchange.snapshot)
    return None


def _twice(name: str) -> Refusal:
    # vLLM reads the first, others the last: the request would have two senders.
    return Refusal(400, Code.MALFORMED, f"The header '{name}' was sent more than once; allowed: once.")


def _from_token(exchange: Exchange, token: str | None) -> Refusal | bool:
    policy = exchange.snapshot.identity
    if token is None or policy.verify_jwt is None:  # a credential of another form
        return False
    claims = policy.verify_jwt(token)
    if claims is None:
        return Refusal(401, Code.IDENTITY_REQUIRED, INVALID_TOKEN)
    subject = claims.get(policy.jwt_claim)
    if not isinstance(subject, str):
        return False
    # A subject is unique only within its issuer (OpenID Connect Core, section 2).
    return _found(exchange, "jwt", Assurance.VERIFIED, f"jwt:{claims.get('iss', '')}", subject)


def _from_header(exchange: Exchange, _: str | None) -> Refusal | bool:
    policy, head = exchange.snapshot.identity, exchange.head
    if not peer_trusted(head.peer, policy.trusted_from):
        return False
    for name in policy.trusted_headers:
        raw = name.encode()
        value = head.header(raw)
        if value is None:
            continue
        if head.header_count(raw) > 1:
            return _twice(name)
        if _found(exchange, "trusted_header", Assurance.ASSERTED, "", value):
            return True
    return False


def _from_key(exchange: Exchange, _: str | None) -> Refusal | bool:
    entitlement = exchange.entitlement
    if entitlement is None or entitlement.user is None:
        return False
    return _found(exchange, "api_key", Assurance.VERIFIED, "", entitlement.user)


def _from_body(exchange: Exchange, _: str | None) -> Refusal | bool:
    # Two applications may both have a user "1": ids sent in bodies live in the namespace of the application's key.
    namespace = f"app:{exchange.entitlement.name}" if exchange.entitlement is not None else ""
    for name in BODY_FIELDS:
        value = exchange.inquiry.claimed.get(name)
        if value and name == "metadata.user_id":
            value = strip_session(value)
        if value and _found(exchange, "body", Assurance.ASSERTED, namespace, value):
            return True
    return False


_SOURCES: Mapping[str, Callable[[Exchange, str | None], Refusal | bool]] = {
    "jwt": _from_token,
    "trusted_header": _from_header,
    "api_key": _from_key,
    "body": _from_body,
}


def _credentials(exchange: Exchange) -> tuple[str | None, str | None]:
    """The bearer token, or else the API key header; and the second of the two, if both were sent and differ."""
    value, key = exchange.head.header(b"authorization"), exchange.head.header(b"x-api-key")
    bearer = value[7:].strip() if value and value[:7].lower() == "bearer " else None
    if not bearer:
        return key, None
    return bearer, key if key and key != bearer else None


def _looks_like_jwt(token: str) -> bool:
    return token.startswith("eyJ") and token.count(".") == 2


def _found(exchange: Exchange, source: str, assurance: Assurance, namespace: str, subject: str) -> bool:
    """Set the identity if ``subject`` is a real one: placeholders and unexpanded templates are nobody."""
    normal = normalize_subject(subject)
    if normal is None:
        return False
    entitlement = exchange.entitlement
    exchange.identity = Identity(
        source,
        assurance,
        exchange.services.pseudonyms.key(namespace, normal),
        _tenant_name(exchange),
        entitlement.purpose if entitlement else "unknown",
    )
    return True


def _tenant_name(exchange: Exchange) -> str | None:
    """The tenant's name; without one, that of the registered key."""
    if exchange.tenant is not None:
        return exchange.tenant.name
    return exchange.entitlement.name if exchange.entitlement is not None else None


def _unidentified(exchange: Exchange, digest: str | None) -> Refusal | None:
    policy, entitlement = exchange.snapshot.identity, exchange.entitlement
    if policy.unidentified == "deny":
        refusal = exchange.refuse(
            Refusal(401, Code.IDENTITY_REQUIRED, "This service counts its users: the request names none.")
        )
        if refusal is not None:
            return refusal
    key = None
    if policy.unidentified == "credential" and digest is not None:
        key = exchange.services.pseudonyms.key("credential", digest)
    exchange.identity = Identity(
        "credential" if key is not None else "none",
        Assurance.CREDENTIAL if key is not None else Assurance.ANONYMOUS,
        key,
        _tenant_name(exchange),
        entitlement.purpose if entitlement else "unknown",
    )
    return None


@lru_cache(maxsize=4096)
def peer_trusted(peer: str, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    """Return True if the address ``peer`` lies in one of ``networks``; no address (a unix socket) is never trusted."""
    if not networks or not peer:
        return False
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in networks)
