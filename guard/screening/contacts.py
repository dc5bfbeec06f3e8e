"""Whether what looks like an e-mail address or a phone number can be one: what code and prose hold instead is not.

Both take the matched text, folded: a dash in it is a space.
"""

import re

_DOMAINS = frozenset({
    "com", "org", "net", "edu", "gov", "mil", "int", "info", "biz", "name", "pro", "aero", "coop", "museum",
    "mobi", "jobs", "travel", "asia", "app", "dev", "page", "cloud", "tech", "online", "site", "website",
    "store", "shop", "blog", "news", "live", "life", "world", "today", "agency", "digital", "design", "studio",
    "solutions", "services", "company", "global", "group", "media", "network", "center", "team", "work",
    "works", "space", "fun", "top", "xyz", "vip", "club", "wiki", "link", "host", "press", "zone", "one",
    "plus", "eco", "bio", "law", "legal", "money", "bank", "finance", "insurance", "health", "care", "doctor",
    "clinic", "dental", "hospital", "academy", "school", "college", "university", "education", "training",
    "london", "berlin", "paris", "tokyo", "nyc", "amsterdam", "swiss", "wien", "hamburg", "brussels", "quebec",
    "email", "systems", "software", "engineering", "consulting", "ventures", "capital", "partners", "marketing",
    "photography", "art", "music", "film", "games", "tv", "restaurant", "cafe", "bar", "hotel", "house",
    "homes", "land", "garden", "farm", "church", "foundation", "charity", "ngo", "international", "social",
    "community", "support", "help", "guide", "expert", "tips", "family", "earth", "energy", "solar", "auto",
    "cars", "bike", "run", "yoga", "fitness", "example", "test",
})  # fmt: skip
"""Top-level domains with more than two letters that people have addresses in (IANA's root zone, the common ones)."""
_NO_DOMAINS = frozenset({
    "cs", "db", "ex", "gz", "go", "hs", "jl", "js", "kt", "rb", "ts", "vb", "xz",
})  # fmt: skip
"""Two letters that are no country's domain, but the ending of a file or the name of an attribute."""
_SPACED_DOMAINS = frozenset({
    "com", "org", "net", "edu", "gov", "info", "eu", "de", "fr", "es", "it", "nl", "be", "ch", "at", "uk", "us",
    "ca", "au", "jp", "cn", "br", "pt", "se", "dk",
})  # fmt: skip
"""Behind a space in the domain, which was a dash or was not, only these count."""
_DATE = re.compile(r"\d{1,2}[./ ]\d{1,2}[./ ](?:19|20)\d\d(?!\d)|(?:19|20)\d\d[./ ]\d{1,2}[./ ]\d{1,2}(?!\d)")
_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}(?!\d)")
_NORTH_AMERICA = re.compile(r"1[2-9]\d{2}[2-9]\d{6}")
_COUNTRY_CODES = re.compile(
    r"1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|21[12368]|22\d|23\d|24\d|25[0-8]|26[0-9]|29[01789]"
    r"|35\d|37\d|38[0-35-79]|42[013]|50\d|59\d|67[02-9]|68[0-35-9]|69[0-2]|80[08]|85[02356]|87[0-38]|88[0-38]"
    r"|96[0-8]|97[0-79]|99[2-68]"
)
"""Recommendation ITU-T E.164, list of assigned country codes."""


def email(text: str) -> bool:
    """Return whether ``text`` is an address of a person: in a domain of people, and not of a file or a repository."""
    local, _, domain = text.rpartition("@")
    last = domain.rpartition(".")[2]
    if local == "git" or local.endswith("."):
        return False
    if " " in domain:
        return last in _SPACED_DOMAINS
    return last not in _NO_DOMAINS if len(last) == 2 else last in _DOMAINS


def phone(text: str) -> bool:
    """Return whether ``text`` is a phone number: international behind a plus sign (E.164), or as a country writes it.

    Dates and internet addresses are none.
    """
    digits = "".join(character for character in text if character.isdecimal())
    if not text.startswith("+"):
        return 7 <= len(digits) <= 13 and not _DATE.match(text) and not _ADDRESS.match(text)
    if digits.startswith("1"):
        return _NORTH_AMERICA.fullmatch(digits) is not None
    return 8 <= len(digits) <= 15 and _COUNTRY_CODES.match(digits) is not None
