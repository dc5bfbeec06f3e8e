"""Headers of hops in front: each says one thing, and somebody is believed about it."""

from collections.abc import Iterator
from ipaddress import ip_network

from guard.policy.checks.tenants import CREDENTIALS
from guard.policy.config import Config
from guard.policy.document import Caution, Document, Location, Problem


def hops(config: Config, document: Document) -> Iterator[Problem]:
    """Yield a problem for headers that are there twice, and for certificates that nobody reports or reads."""
    identity, mtls = config.identity, config.identity.mtls
    seen: set[str] = set()
    for index, entry in enumerate(identity.trusted_headers):
        at: Location = ("identity", "trusted_headers", index)
        known = f"{entry.header} {entry.networks}"
        if known in seen:
            yield document.problem(at, f"'{entry.header}' is there twice", "each header once, or from other networks")
        seen.add(known)
    if mtls is None:
        return
    at = ("identity", "mtls")
    if "mtls" not in identity.sources and not document.misses(("identity", "sources")):
        yield document.problem(at, "certificates are read but are no source", "mtls in identity.sources")
    lost = document.misses(("identity", "trusted_from"), (*at, "from"))
    if mtls.networks is None and not identity.trusted_from and not lost:
        yield document.problem(at, "no hop is trusted to report certificates", "from: [NETWORK], or trusted_from")
    others = CREDENTIALS.union(config.territory.country_headers, (entry.header for entry in identity.trusted_headers))
    if mtls.header in others:
        yield document.problem(
            (*at, "header"), f"'{mtls.header}' says something else of a caller", "a header of its own"
        )


def presumed(config: Config, document: Document) -> Iterator[Caution]:
    """Yield a caution where a hop is believed about all the usual headers: it sets one of them, and may pass on the
    others as a client wrote them.
    """
    identity = config.identity
    believed = identity.trusted_from and "trusted_header" in identity.sources
    if not believed or "trusted_headers" in identity.model_fields_set:
        return
    names = ", ".join(entry.header for entry in identity.trusted_headers)
    found = (
        f"without identity.trusted_headers every one of {names} is believed, also where the hop passes on what a "
        "client wrote into it; name those that the hop sets"
    )
    yield document.caution(("identity", "trusted_from"), found)


def strangers(config: Config, document: Document) -> Iterator[Caution]:
    """Yield a caution for networks that hold everybody: whoever connects there says who they are."""
    identity = config.identity
    named: list[tuple[Location, tuple[str, ...] | None]] = [(("identity", "trusted_from"), identity.trusted_from)]
    named += [
        (("identity", "trusted_headers", index, "from"), entry.networks)
        for index, entry in enumerate(identity.trusted_headers)
    ]
    named += [(("identity", "mtls", "from"), identity.mtls.networks)] if identity.mtls is not None else []
    for at, networks in named:
        for index, network in enumerate(networks or ()):
            if ip_network(network).prefixlen == 0:
                yield document.caution(
                    (*at, index), f"{network} is everybody: whoever connects may claim to be any user"
                )
