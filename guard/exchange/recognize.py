"""Who sent a recorded request, as another policy would have seen it. What that rests on and was not kept, is said."""

from collections.abc import Mapping
from typing import Any

from guard.exchange.exchange import Exchange
from guard.exchange.identity import Assurance, Identity
from guard.exchange.refusal import Code, Refusal
from guard.exchange.snapshot import Entitlement, IdentityPolicy, Snapshot
from guard.exchange.tenant import Match, Tenant


class CannotTell(Exception):
    """What another policy decides cannot be told from what was recorded; the text says why, in a few fixed words."""


def recognize(exchange: Exchange, facts: Mapping[str, Any], before: Snapshot | None) -> Refusal | None:
    """Do what ``identify`` does with an entry's ``facts`` in place of a request: tenant, identity, or a refusal.

    ``before`` is the policy the entry was decided under, if it is known. Raises CannotTell.
    """
    known, snapshot = facts["identity"], exchange.snapshot
    policy = snapshot.identity
    exchange.entitlement = _entitlement(policy, known["application"])
    exchange.tenant = _tenant(snapshot, facts, before)
    if exchange.tenant is not None:
        exchange.snapshot = exchange.tenant.view(snapshot)
    if facts["refused"] is not None and facts["refused"]["code"] == Code.IDENTITY_REQUIRED:
        if before is None or _demands(before.identity) != _demands(policy):
            raise CannotTell("who sent it is not known, and what is asked of identities differs")
        return exchange.refuse(_unknown())
    source = known["source"]
    if policy.registered_only and exchange.entitlement is None and source not in {"mtls", "assertion", "jwt"}:
        refusal = exchange.refuse(_unknown())
        if refusal is not None:
            return refusal
    if known["application"] is not None and exchange.entitlement is None:
        raise CannotTell("its API key is not registered any more")
    if source in {"credential", "none"} and policy.unidentified == "deny":
        return exchange.refuse(_unknown())
    if source not in {"credential", "none", *policy.sources}:
        raise CannotTell(f"it was identified by {source}, which is not read any more")
    if source == "jwt" and policy.jwt_purpose is not None:
        if before is None or before.identity.jwt_purpose != policy.jwt_purpose:
            raise CannotTell("what its token states as its purpose was not recorded")
        exchange.token_purpose = facts["given"]["token_purpose"]
    user = int(known["user"], 16) if known["user"] is not None else None
    entitlement = exchange.entitlement
    exchange.identity = Identity(
        source,
        Assurance(known["assurance"]),
        user,
        exchange.tenant.name if exchange.tenant is not None else known["application"],
        entitlement.purpose if entitlement is not None else "unknown",
    )
    return None


def _unknown() -> Refusal:
    return Refusal(401, Code.IDENTITY_REQUIRED, "This service asks for a better identity.")


def _demands(policy: IdentityPolicy) -> tuple[object, ...]:
    """What a policy asks of identities, as far as it can be compared: verification keys cannot."""
    return (
        policy.sources, policy.unidentified, policy.trusted_headers, policy.trusted_from, policy.jwt_claim,
        policy.verify_jwt is None, policy.registered_only, frozenset(policy.keys), policy.stored, policy.mtls,
        tuple((one.header, one.claim, one.trusted_from) for one in policy.assertions),
    )  # fmt: skip


def _entitlement(policy: IdentityPolicy, application: str | None) -> Entitlement | None:
    if application is None:
        return None
    registered = (
        *policy.keys.values(),
        *(entitlement for key, entitlement in policy.stored.values() if not key.revoked),
    )
    return next((entitlement for entitlement in registered if entitlement.name == application), None)


def _tenant(snapshot: Snapshot, facts: Mapping[str, Any], before: Snapshot | None) -> Tenant | None:
    """The tenant whose request it was; claims and namespaces are not kept, so it has to be one by them already."""
    tenants, application = snapshot.tenants, facts["identity"]["application"]
    if tenants is None:
        return None
    matches = _matches(snapshot)
    if before is not None and _matches(before) == matches:
        named = facts["given"]["tenant"]
        return next((tenant for tenant in tenants.ordered if tenant.name == named), None)
    if any(match.claim is not None or match.namespaces for _, match in matches):
        raise CannotTell("tenants are told apart by claims or namespaces, which are not recorded")
    return tenants.of(application, None, None)


def _matches(snapshot: Snapshot) -> list[tuple[str, Match]]:
    return [(tenant.name, tenant.match) for tenant in snapshot.tenants.ordered] if snapshot.tenants is not None else []
