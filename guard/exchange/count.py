"""Count the user: a place before the request is forwarded, a durable sighting before the first byte of a 2xx leaves."""

from guard.exchange.exchange import Exchange
from guard.exchange.identity import Assurance
from guard.exchange.refusal import Code, Refusal
from guard.usage.ledger import LedgerError, LedgerUnavailable
from guard.usage.period import Kind
from guard.usage.pseudonym import ALWAYS
from guard.usage.reservation import Admission, Reservation
from guard.usage.spool import SpoolError
from guard.usage.thresholds import Limit


def reserve(exchange: Exchange) -> Refusal | None:
    """Ask the usage rules, in memory, whether this user may be served, and hold a place for a newcomer near a limit.

    Where only the ledger can tell, ``exchange.undecided`` is set: then ``ask_ledger`` has to decide before anything is
    forwarded.
    """
    if exchange.model is None or not exchange.model.limited:
        return None
    counter, at_limit = exchange.services.counter, exchange.snapshot.at_limit
    now = exchange.identity.term.nearest(exchange.services.now())
    for limits, key in _shares(exchange):
        reservation = counter.reserve(limits, key, at_limit, now)
        if reservation is None:
            exchange.undecided = True
            return None
        if (refusal := _settled(exchange, reservation)) is not None:
            return refusal
    return None


def ask_ledger(exchange: Exchange) -> Refusal | None:
    """Decide what ``reserve`` could not, by a trip to the ledger: for a worker thread."""
    counter, at_limit = exchange.services.counter, exchange.snapshot.at_limit
    now = exchange.identity.term.nearest(exchange.services.now())
    exchange.undecided = False
    for limits, key in _shares(exchange):
        try:
            reservation = counter.ask(limits, key, at_limit, now)
        except (LedgerUnavailable, LedgerError, SpoolError) as error:
            exchange.services.on_failure("usage.reserve", error)
            exchange.not_evaluated.append("ledger")
            return exchange.refuse(Refusal(503, Code.LEDGER_UNAVAILABLE, "The request cannot be decided right now."))
        if (refusal := _settled(exchange, reservation)) is not None:
            return refusal
    return None


def _shares(exchange: Exchange) -> list[tuple[tuple[Limit, ...], int | None]]:
    """The model's limits with who the user is under each.

    A shared credential is nobody under a license that counts people: a newcomer that never becomes known. It holds no
    place there, so there is nothing to give back.
    """
    model = exchange.model
    assert model is not None
    limits, key = model.limits, exchange.identity.key
    if not model.people_only or exchange.identity.assurance is not Assurance.CREDENTIAL:
        return [(limits, key)]
    of_people = tuple(limit for limit in limits if limit.license in model.people_only)
    return [(of_people, None), (tuple(limit for limit in limits if limit.license not in model.people_only), key)]


def _settled(exchange: Exchange, reservation: Reservation) -> Refusal | None:
    exchange.reservation = reservation
    if reservation.admission is not Admission.REFUSED or reservation.limit is None:
        return None
    limit = reservation.limit
    whose = "this service's operator" if limit.consequence == "operator" else "this model's license"
    when = "today" if limit.kind is Kind.DAY else "this month" if limit.kind is Kind.MONTH else "these days"
    return exchange.refuse(
        Refusal(
            403,
            Code.USAGE_THRESHOLD,
            f"The number of active users that {whose} allows has been reached for {when}.",
            license=limit.license,
            clause=limit.clause or None,
        )
    )


def count(exchange: Exchange) -> Refusal | None:
    """Make the user's sighting durable (invariant 2); call when the upstream has answered 2xx, before any byte leaves.

    Counting does not depend on enforcement (invariant 3). A sighting that cannot be made durable refuses the answer in
    either mode: an answered user who is not counted is what Guard exists to prevent.
    """
    services, model, identity = exchange.services, exchange.model, exchange.identity
    licenses = model.counted if model is not None else ()
    nobody: tuple[str, ...] = ()
    if model is not None and model.people_only and identity.assurance is Assurance.CREDENTIAL:
        nobody = tuple(license for license in licenses if license in model.people_only)
        licenses = tuple(license for license in licenses if license not in model.people_only)
    now = services.now()
    if identity.term is not ALWAYS:
        now = identity.term.nearest(now)
    try:
        if nobody:
            services.counter.sight(nobody, None, now)
        if services.counter.sight(licenses, identity.key, now):
            exchange.newcomer = True
            services.meter.first_sighting()
    except SpoolError as error:
        services.on_failure("usage.sight", error)
        exchange.refused = Refusal(
            503, Code.LEDGER_UNAVAILABLE, "The request cannot be recorded right now.", reference=exchange.head.reference
        )
        return exchange.refused
    finally:
        if exchange.reservation is not None:
            settle(exchange)
    exchange.answered = True
    return None


def settle(exchange: Exchange) -> None:
    """Give back the place held for a newcomer; idempotent."""
    if exchange.reservation is not None:
        exchange.services.counter.settle(exchange.reservation)
        exchange.reservation = None
