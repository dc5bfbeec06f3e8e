"""Count the user: a place before the request is forwarded, a durable sighting before the first byte of a 2xx leaves."""

from guard.exchange.exchange import Exchange
from guard.exchange.identity import Assurance
from guard.exchange.refusal import Code, Refusal
from guard.usage.counter import Admission
from guard.usage.ledger import LedgerUnavailable
from guard.usage.spool import SpoolError
from guard.usage.thresholds import Limit


def reserve(exchange: Exchange) -> Refusal | None:
    """Ask the usage rules whether this user may be served, and hold a place for a newcomer near a limit."""
    model, services = exchange.model, exchange.services
    if model is None or not model.limits:
        return None
    limits = model.limits
    of_people: tuple[Limit, ...] = ()
    if model.people_only and exchange.identity.assurance is Assurance.CREDENTIAL:
        of_people = tuple(limit for limit in limits if limit.license in model.people_only)
        limits = tuple(limit for limit in limits if limit.license not in model.people_only)
    at_limit, now = exchange.snapshot.at_limit, services.now()
    try:
        # A shared credential is nobody under a license that counts people: a newcomer that never becomes known. It
        # holds no place there, so there is nothing to give back.
        reservation = services.counter.reserve(of_people, None, at_limit, now) if of_people else None
        if reservation is None or reservation.admission is not Admission.REFUSED:
            reservation = services.counter.reserve(limits, exchange.identity.key, at_limit, now)
    except LedgerUnavailable as error:
        services.on_failure("usage.reserve", error)
        exchange.not_evaluated.append("ledger")
        return exchange.refuse(Refusal(503, Code.LEDGER_UNAVAILABLE, "The request cannot be decided right now."))
    exchange.reservation = reservation
    if reservation.admission is Admission.REFUSED and reservation.limit is not None:
        limit = reservation.limit
        whose = "this service's operator" if limit.consequence == "operator" else "this model's license"
        return exchange.refuse(
            Refusal(
                403,
                Code.USAGE_THRESHOLD,
                f"The number of active users that {whose} allows has been reached for this month.",
                license=limit.license,
                clause=limit.clause or None,
            )
        )
    return None


def count(exchange: Exchange) -> Refusal | None:
    """Make the user's sighting durable (invariant 2); call when the upstream has answered 2xx, before any byte leaves.

    Counting does not depend on enforcement (invariant 3). A sighting that cannot be made durable refuses the answer in
    either mode: an answered user who is not counted is what Guard exists to prevent.
    """
    services, model = exchange.services, exchange.model
    licenses = model.counted if model is not None else ()
    nobody: tuple[str, ...] = ()
    if model is not None and model.people_only and exchange.identity.assurance is Assurance.CREDENTIAL:
        nobody = tuple(license for license in licenses if license in model.people_only)
        licenses = tuple(license for license in licenses if license not in model.people_only)
    try:
        if nobody:
            services.counter.sight(nobody, None, services.now())
        if services.counter.sight(licenses, exchange.identity.key, services.now()):
            exchange.newcomer = True
            services.meter.first_sighting()
    except SpoolError as error:
        services.on_failure("usage.sight", error)
        exchange.refused = Refusal(
            503, Code.LEDGER_UNAVAILABLE, "The request cannot be recorded right now.", reference=exchange.head.reference
        )
        return exchange.refused
    finally:
        settle(exchange)
    exchange.answered = True
    return None


def settle(exchange: Exchange) -> None:
    """Give back the place held for a newcomer; idempotent."""
    if exchange.reservation is not None:
        exchange.services.counter.settle(exchange.reservation)
        exchange.reservation = None
