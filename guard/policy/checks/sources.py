"""Identities: every source that is asked for can name somebody, and what is set up is asked for."""

from collections.abc import Iterator
from ipaddress import ip_network

from guard.policy.config import Config
from guard.policy.document import Caution, Document, Location, Problem


def sources(config: Config, document: Document) -> Iterator[Problem]:
    """Yield a problem for what identifies nobody, and for what is set up and never asked."""
    identity = config.identity
    asked, at = set(identity.sources), ("identity", "sources")
    if len(asked) < len(identity.sources):
        for index, source in enumerate(identity.sources):
            if source in identity.sources[:index]:
                yield document.problem((*at, index), f"'{source}' is there twice", "each source once")
    if identity.registered_only and not identity.keys and not document.misses(("identity", "keys")):
        yield document.problem(
            ("identity", "registered_only"), "no key is registered, so every key is refused", "identity.keys, or false"
        )
    if document.misses(at):
        return
    unable = [source for source, able in (("jwt", identity.jwt), ("trusted_header", identity.trusted_from)) if not able]
    lost = document.misses(("identity", "jwt"), ("identity", "trusted_from"))
    if asked and asked <= set(unable) and not lost:
        needed = {"jwt": "identity.jwt", "trusted_header": "identity.trusted_from"}
        yield document.problem(
            at, f"{' and '.join(sorted(asked))} alone, and nothing is set up that is believed",
            " or ".join(needed[source] for source in sorted(asked)),
        )  # fmt: skip
    if identity.jwt is not None and "jwt" not in asked:
        yield document.problem(("identity", "jwt"), "tokens are verified but are no source", "jwt in identity.sources")
    if identity.trusted_from and "trusted_header" not in asked:
        yield document.problem(
            ("identity", "trusted_from"),
            "headers are believed but are no source",
            "trusted_header in identity.sources",
        )


def strangers(config: Config, document: Document) -> Iterator[Caution]:
    """Yield a caution for networks that hold everybody: whoever connects there says who they are."""
    for index, network in enumerate(config.identity.trusted_from):
        if ip_network(network).prefixlen == 0:
            at: Location = ("identity", "trusted_from", index)
            yield document.caution(at, f"{network} is everybody: whoever connects may claim to be any user")
