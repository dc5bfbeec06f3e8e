"""Who is the end user? The first source of the trust order that answers wins; a weaker one never overrides it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address

from guard.exchange.certificate import CertificateError, holder
from guard.exchange.credential import PREFIX, digest_key, ids_in, key_id
from guard.exchange.exchange import Exchange
from guard.exchange.identity import Assurance, Identity
from guard.exchange.refusal import Code, Refusal
from guard.exchange.snapshot import Assertion, IdentityPolicy
from guard.exchange.tenant import Tenants
from guard.licensing.purpose import UNKNOWN
from guard.usage.pseudonym import ALWAYS, Term, normalize_subject, strip_session

BODY_FIELDS = ("user", "litellm_metadata.user", "metadata.user_id", "safety_identifier")
"""In the order gateways have made usual; ``prompt_cache_key`` is a conversation, never a person."""


SINGLE = (b"authorization", b"x-api-key", b"x-guard-purpose")
"""Headers that say who sends a request or what for."""

_PREFIX = PREFIX.encode()

INVALID_TOKEN = "The bearer token is not valid."  # noqa: S105 - a message
INVALID_ASSERTION = "The identity assertion is not valid."
INVALID_KEY = "The API key is no longer valid."


def identify(exchange: Exchange) -> Refusal | None:
    """Set the exchange's tenant and identity, or refuse where the policy demands a better identity.

    The tenant is known by what cannot be made up: a registered key, a claim of a verified token, a namespace that a
    trusted hop wrote. From here on the exchange has the snapshot as that tenant sees it.

    Trust order (``identity.sources``):
    1. ``mtls``: a client certificate that a trusted hop verified and reports.
    2. ``assertion``: a header in which a proxy that knows the user says who it is, signed; an invalid one is refused.
    3. ``jwt``: a bearer token whose signature verifies; an invalid one is refused, never ignored.
    4. ``trusted_header``: a header set by a hop that is trusted with it.
    5. ``api_key``: a registered key that belongs to one person.
    6. ``body``: BODY_FIELDS, namespaced by the application's registered key.
    Else the credential itself, or nobody, as ``identity.unidentified`` says.
    """
    policy, sent = exchange.snapshot.identity, exchange.head.last
    if len(sent) < len(exchange.head.headers) and (doubled := _doubled(exchange)) is not None:
        return exchange.refuse(doubled)
    credential = token = key = other = None
    if b"authorization" in sent or b"x-api-key" in sent:
        credential, other = _credentials(exchange)
        verifiable = policy.verify_jwt is not None and "jwt" in policy.sources
        token = credential if verifiable and credential and _looks_like_jwt(credential) else None
        key = credential if token is None else None
    if policy.keys or policy.stored:
        # Two credentials: a registered key is known by either header, so that none hides it, and two are two senders.
        for one in (key, other):
            refusal = _entitle(exchange, policy, one) if one else None
            if refusal is not None:
                return refusal
    if exchange.snapshot.tenants is not None:
        refusal = _place(exchange, exchange.snapshot.tenants, token)
        if refusal is not None:
            return refusal
    if policy.registered_only and exchange.entitlement is None and not _vouched(exchange, credential, token):
        refusal = exchange.refuse(Refusal(401, Code.IDENTITY_REQUIRED, "A registered API key is required."))
        if refusal is not None:
            return refusal
    for source in policy.asked:
        found = _SOURCES[source](exchange, token)
        if isinstance(found, Refusal):
            refusal = exchange.refuse(found)
            if refusal is not None:
                return refusal  # else it is only recorded: the next source may know the user, who is counted
        elif found:
            return None
    return _unidentified(exchange, key)


def _vouched(exchange: Exchange, credential: str | None, token: str | None) -> bool:
    """Return whether something stands in for a registered key: a token, or, without a credential, a certificate or an
    assertion.
    """
    return token is not None or (
        credential is None and (_certificate(exchange) is not None or any(_asserted(exchange)))
    )


def _entitle(exchange: Exchange, policy: IdentityPolicy, key: str) -> Refusal | None:
    """Set what a registered key entitles to; refuse one that no longer is, and one beside another."""
    registered = policy.keys.get(digest_key(key)) if policy.keys else None
    if registered is None and policy.stored and key.startswith(PREFIX):
        known = policy.stored.get(key_id(key) or "")
        if known is not None and known[0].matches(key):
            if known[0].refused(exchange.services.now()):
                return exchange.refuse(Refusal(401, Code.IDENTITY_REQUIRED, INVALID_KEY))
            registered = known[1]
    if exchange.entitlement is None:
        exchange.entitlement = registered
    elif registered not in {None, exchange.entitlement}:
        return exchange.refuse(Refusal(400, Code.MALFORMED, "Two registered API keys were sent; allowed: one."))
    return None


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


def _doubled(exchange: Exchange) -> Refusal | None:
    return next((_twice(name.decode()) for name in SINGLE if exchange.head.header_count(name) > 1), None)


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
    stated = claims.get(policy.jwt_purpose) if policy.jwt_purpose is not None else None
    if stated is not None:
        exchange.token_purpose = stated if isinstance(stated, str) else ""
    # A subject is unique only within its issuer (OpenID Connect Core, section 2).
    return _found(exchange, "jwt", Assurance.VERIFIED, f"jwt:{claims.get('iss', '')}", subject)


def _asserted(exchange: Exchange) -> Iterator[tuple[Assertion, str]]:
    """Yield every assertion that came with the request from where it is believed, not verified yet."""
    policy, head = exchange.snapshot.identity, exchange.head
    for assertion in policy.assertions if "assertion" in policy.sources else ():
        value = head.header(assertion.header)
        if value is not None and (not assertion.trusted_from or peer_trusted(head.peer, assertion.trusted_from)):
            yield assertion, value


def _from_assertion(exchange: Exchange, _: str | None) -> Refusal | bool:
    found = False
    for assertion, value in _asserted(exchange):
        if exchange.head.header_count(assertion.header) > 1:
            return _twice(assertion.header.decode())
        claims = assertion.verify(value)
        if claims is None:  # whichever names the user: a forged one is no request to answer
            return Refusal(401, Code.IDENTITY_REQUIRED, INVALID_ASSERTION)
        subject = claims.get(assertion.claim)
        if not found and isinstance(subject, str):
            # The namespace of its issuer's bearer tokens: whoever comes in by both ways is one user.
            found = _found(exchange, "assertion", Assurance.VERIFIED, f"jwt:{claims.get('iss', '')}", subject)
    return found


def _certificate(exchange: Exchange) -> str | None:
    """Return what a hop that is trusted with it says of the client's certificate, as it stands in the header."""
    policy, head = exchange.snapshot.identity, exchange.head
    if policy.mtls is None or "mtls" not in policy.sources or not peer_trusted(head.peer, policy.mtls.networks):
        return None
    return head.header(policy.mtls.name) or None


def _from_certificate(exchange: Exchange, _: str | None) -> Refusal | bool:
    value, mtls = _certificate(exchange), exchange.snapshot.identity.mtls
    if value is None or mtls is None:
        return False
    if exchange.head.header_count(mtls.name) > 1:
        return _twice(mtls.name.decode())
    try:
        subject = holder(mtls.name, value)
    except CertificateError:
        message = f"The header '{mtls.name.decode()}' cannot be read; allowed: the form that Envoy writes."
        return Refusal(400, Code.MALFORMED, message)
    return subject is not None and _found(exchange, "mtls", Assurance.VERIFIED, mtls.namespace, subject)


def _from_header(exchange: Exchange, _: str | None) -> Refusal | bool:
    policy, head = exchange.snapshot.identity, exchange.head
    for header in policy.trusted_headers:
        value = head.header(header.name)
        if value is None or not peer_trusted(head.peer, header.networks):
            continue
        if head.header_count(header.name) > 1:
            return _twice(header.name.decode())
        subject = header.subject(value)
        if subject and _found(exchange, "trusted_header", Assurance.ASSERTED, header.namespace, strip_session(subject)):
            return True
    return False


def _from_key(exchange: Exchange, _: str | None) -> Refusal | bool:
    entitlement = exchange.entitlement
    if entitlement is None or entitlement.user is None:
        return False
    return _found(exchange, "api_key", Assurance.VERIFIED, "", entitlement.user)


def _from_body(exchange: Exchange, _: str | None) -> Refusal | bool:
    claimed = exchange.inquiry.claimed
    if not claimed:
        return False
    # Two applications may both have a user "1": ids sent in bodies live in the namespace of the application's key.
    namespace = f"app:{exchange.entitlement.name}" if exchange.entitlement is not None else ""
    for name in BODY_FIELDS:
        value = claimed.get(name)
        # Gateways copy one field into another (LiteLLM ``metadata.user_id`` into ``user``), sessions and all.
        if value and _found(exchange, "body", Assurance.ASSERTED, namespace, strip_session(value)):
            return True
    return False


_SOURCES: Mapping[str, Callable[[Exchange, str | None], Refusal | bool]] = {
    "mtls": _from_certificate,
    "assertion": _from_assertion,
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
    services = exchange.services
    pseudonyms = services.pseudonyms.at(services.now())
    _identified(exchange, source, assurance, pseudonyms.key(namespace, normal), pseudonyms.term)
    return True


def _identified(exchange: Exchange, source: str, assurance: Assurance, key: int | None, term: Term) -> None:
    """Set the identity, with what the policy knows of whoever sends for it: the tenant, or else the registered key."""
    entitlement, tenant = exchange.entitlement, exchange.tenant
    name = tenant.name if tenant is not None else entitlement.name if entitlement is not None else None
    purpose = entitlement.purpose if entitlement is not None else UNKNOWN
    exchange.identity = Identity(source, assurance, key, name, purpose, term)


def _unidentified(exchange: Exchange, credential: str | None) -> Refusal | None:
    policy = exchange.snapshot.identity
    if policy.unidentified == "deny":
        refusal = exchange.refuse(
            Refusal(401, Code.IDENTITY_REQUIRED, "This service counts its users: the request names none.")
        )
        if refusal is not None:
            return refusal
    key, term = None, ALWAYS
    if policy.unidentified == "credential" and credential:
        pseudonyms = exchange.services.pseudonyms.at(exchange.services.now())
        key, term = pseudonyms.key("credential", digest_key(credential)), pseudonyms.term
    if key is not None:
        _identified(exchange, "credential", Assurance.CREDENTIAL, key, term)
    else:
        _identified(exchange, "none", Assurance.ANONYMOUS, None, term)
    return None


def believed(policy: IdentityPolicy, peer: str) -> frozenset[bytes]:
    """Return the names of the identity headers that are believed from ``peer``: only those may be forwarded."""
    return frozenset(header.name for header in policy.trusted_headers if peer_trusted(peer, header.networks))


def without_own_keys(policy: IdentityPolicy, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return ``headers`` without those that carry a key of the keys file, good or not: it is a secret between the
    caller and Guard. Every other credential stays: the server behind may ask for it.
    """
    if not policy.stored:
        return list(headers)
    return [(name, value) for name, value in headers if _PREFIX not in value or not _carries_own(policy, value)]


def _carries_own(policy: IdentityPolicy, value: bytes) -> bool:
    known = ((policy.stored.get(id_), key) for id_, key in ids_in(value.decode("latin-1")))
    return any(entry is not None and entry[0].matches(key) for entry, key in known)


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
