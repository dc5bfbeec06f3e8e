"""Places that licenses exclude: codes of countries, and the two unions of them that licenses name."""

from collections.abc import Iterable

EU = frozenset(
    "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK".split()  # noqa: SIM905 - as read
)
"""Member states of the European Union since 2020-02-01 (ISO 3166-1; Treaty on European Union, article 52)."""

EU_REGIONS = frozenset({"AX", "GF", "GP", "MF", "MQ", "RE", "YT"})
"""Parts of its territory with codes of their own (Treaty on the Functioning of the European Union, 349 and 355)."""

SYNONYMS = {"UK": "GB", "EL": "GR"}
"""Codes that are used beside ISO 3166-1."""


def country(code: str) -> str | None:
    """Return the ISO 3166-1 code that ``code`` means; None for what proxies send when they don't know (XX, T1)."""
    upper = code.strip().upper()
    if len(upper) != 2 or not (upper.isascii() and upper.isalpha()) or upper == "AP" or _unassigned(upper):
        return None
    return SYNONYMS.get(upper, upper)


def _unassigned(code: str) -> bool:
    """True for the codes that ISO 3166-1 leaves to users (AA, QM-QZ, XA-XZ, ZZ), but for Kosovo's."""
    return code in {"AA", "ZZ"} or (code[0] == "Q" and code[1] >= "M") or (code[0] == "X" and code != "XK")


def members(codes: Iterable[str]) -> frozenset[str]:
    """Return the countries in ``codes``, with EU also as its member states."""
    found: set[str] = set()
    for code in codes:
        found |= EU | EU_REGIONS | {"EU"} if code == "EU" else {SYNONYMS.get(code, code)}
    return frozenset(found)
