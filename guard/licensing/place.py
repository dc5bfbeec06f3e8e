"""Places that licenses exclude: codes of countries, and the two unions of them that licenses name."""

from collections.abc import Iterable

EU = frozenset(
    "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK".split()  # noqa: SIM905 - as read
)
"""Member states of the European Union since 2020-02-01 (ISO 3166-1; Treaty on European Union, article 52)."""

SYNONYMS = {"UK": "GB", "EL": "GR"}
"""Codes that are used beside ISO 3166-1."""


def country(code: str) -> str | None:
    """Return the ISO 3166-1 code that ``code`` means; None for what proxies send when they don't know (XX, T1)."""
    upper = code.strip().upper()
    if len(upper) != 2 or not (upper.isascii() and upper.isalpha()) or upper in {"XX", "ZZ", "AP"}:
        return None
    return SYNONYMS.get(upper, upper)


def members(codes: Iterable[str]) -> frozenset[str]:
    """Return the countries in ``codes``, with EU also as its member states."""
    found: set[str] = set()
    for code in codes:
        found |= EU | {"EU"} if code == "EU" else {SYNONYMS.get(code, code)}
    return frozenset(found)
