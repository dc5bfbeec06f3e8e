"""Identities: every source that is asked for can name somebody, and what is set up is asked for."""

from collections.abc import Iterator

from guard.policy.checks.tenants import CREDENTIALS, user_headers
from guard.policy.config import Config
from guard.policy.document import Document, Location, Problem
from guard.policy.keyfile import KeyFile


def sources(config: Config, document: Document, keyfile: KeyFile) -> Iterator[Problem]:
    """Yield a problem for what identifies nobody, and for what is set up and never asked."""
    identity = config.identity
    asked, at = set(identity.sources), ("identity", "sources")
    if len(asked) < len(identity.sources):
        for index, source in enumerate(identity.sources):
            if source in identity.sources[:index]:
                yield document.problem((*at, index), f"'{source}' is there twice", "each source once")
    if identity.registered_only and not (identity.keys or keyfile.keys or document.misses(("identity", "keys"))):
        yield document.problem(
            ("identity", "registered_only"),
            "no key is registered, so every key is refused",
            "identity.keys, identity.keys_file, or false",
        )
    if document.misses(at):
        return
    needed = {"mtls": "mtls", "assertion": "assertions", "jwt": "jwt", "trusted_header": "trusted_from"}
    unable = [source for source, name in needed.items() if not getattr(identity, name)]
    if any(entry.networks for entry in identity.trusted_headers):
        unable = [source for source in unable if source != "trusted_header"]
    lost = document.misses(*(("identity", name) for name in needed.values()))
    if asked and asked <= set(unable) and not lost:
        yield document.problem(
            at, f"{' and '.join(sorted(asked))} alone, and nothing is set up that is believed",
            " or ".join(f"identity.{needed[source]}" for source in sorted(asked)),
        )  # fmt: skip
    if identity.jwt is not None and "jwt" not in asked:
        yield document.problem(("identity", "jwt"), "tokens are verified but are no source", "jwt in identity.sources")
    reporting = identity.mtls is not None and identity.mtls.networks is None
    if identity.trusted_from and "trusted_header" not in asked and not reporting:
        yield document.problem(
            ("identity", "trusted_from"),
            "headers are believed but are no source",
            "trusted_header in identity.sources",
        )


def assertions(config: Config, document: Document) -> Iterator[Problem]:
    """Yield a problem for every header of an assertion that cannot be one."""
    identity = config.identity
    taken = dict.fromkeys((*CREDENTIALS, *config.territory.country_headers), "says something else of a caller")
    taken |= dict.fromkeys(user_headers(config), "is in identity.trusted_headers, which are believed unsigned")
    taken[identity.namespace_header] = "is identity.namespace_header"
    taken["x-amzn-oidc-data"] = "is signed in a way of its own: its times and audience are in no claim"
    for index, assertion in enumerate(identity.assertions):
        at: Location = ("identity", "assertions", index, "header")
        if assertion.header in taken:
            yield document.problem(at, f"'{assertion.header}' {taken[assertion.header]}", "a header of its own")
        taken[assertion.header] = "is there twice"
    if identity.assertions and "assertion" not in identity.sources and not document.misses(("identity", "sources")):
        found = "assertions are verified but are no source"
        yield document.problem(("identity", "assertions"), found, "assertion in identity.sources")
