"""Where is the model used? Some licenses give no rights for use in some places (Hunyuan 1.l, 5.c)."""

from guard.exchange.exchange import Exchange
from guard.exchange.identify import peer_trusted
from guard.exchange.refusal import Code, Refusal
from guard.licensing.place import country


def locate(exchange: Exchange) -> Refusal | None:
    """Refuse a request from a place that the model's licenses exclude, and one whose place should be known but is not.

    The country is what a trusted hop wrote (``territory.country_headers``). Where no header is configured nothing can
    be told: the request is noted as not evaluated (invariant 6), and the load has warned.
    """
    model, surface = exchange.model, exchange.snapshot.surface
    if model is None or not model.excluded:
        return None
    place = country_of(exchange) if surface.country_headers else None
    if place is None and (not surface.country_headers or surface.unknown_country == "allow"):
        exchange.not_evaluated.append("territory")
        return None
    cited = model.excluded.get(place) if place is not None else next(iter(model.excluded.values()))
    if cited is None:
        return None
    license, clause = cited
    where = "in this place" if place is not None else "where its place is not known"
    message = f"The model's license does not allow its use {where}."
    return exchange.refuse(Refusal(403, Code.TERRITORY, message, license=license, clause=clause))


def country_of(exchange: Exchange) -> str | None:
    """Return the country a trusted hop names, or None.

    The first header that is there decides: one that names no country (XX, T1) is not helped by the next, which the
    hop may have passed on from a stranger. Headers that are there twice name none for the same reason.
    """
    head = exchange.head
    if not peer_trusted(head.peer, exchange.snapshot.identity.trusted_from):
        return None
    for name in exchange.snapshot.surface.country_headers:
        value = head.header(name)
        if value is not None:
            return country(value) if head.header_count(name) == 1 else None
    return None
