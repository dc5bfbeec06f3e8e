"""Checks on what a pattern matched: the digits that issuers add so that a number cannot be any number.

Each takes the matched text, folded, and returns whether it can be what it looks like. A number that passes may still be
nobody's; one that fails is a false alarm.
"""

from collections.abc import Callable, Mapping

from guard.screening.contacts import email, phone

_IBAN_LENGTHS: Mapping[str, int] = {
    "ad": 24, "ae": 23, "al": 28, "at": 20, "az": 28, "ba": 20, "be": 16, "bg": 22, "bh": 22, "bi": 27, "br": 29,
    "by": 28, "ch": 21, "cr": 22, "cy": 28, "cz": 24, "de": 22, "dj": 27, "dk": 18, "do": 28, "ee": 20, "eg": 29,
    "es": 24, "fi": 18, "fk": 18, "fo": 18, "fr": 27, "gb": 22, "ge": 22, "gi": 23, "gl": 18, "gr": 27, "gt": 28,
    "hn": 28, "hr": 21, "hu": 28, "ie": 22, "il": 23, "iq": 23, "is": 26, "it": 27, "jo": 30, "kw": 30, "kz": 20,
    "lb": 28, "lc": 32, "li": 21, "lt": 20, "lu": 20, "lv": 21, "ly": 25, "mc": 27, "md": 24, "me": 22, "mk": 19,
    "mn": 20, "mr": 27, "mt": 31, "mu": 30, "ni": 28, "nl": 18, "no": 15, "om": 23, "pk": 24, "pl": 28, "ps": 29,
    "pt": 25, "qa": 29, "ro": 24, "rs": 22, "ru": 33, "sa": 24, "sc": 31, "sd": 18, "se": 24, "si": 19, "sk": 24,
    "sm": 27, "so": 23, "st": 25, "sv": 28, "tl": 23, "tn": 24, "tr": 26, "ua": 29, "va": 22, "vg": 24, "xk": 20,
    "ye": 30,
}  # fmt: skip
"""Characters of an IBAN by country: SWIFT's IBAN registry (ISO 13616)."""
_CARD_LENGTHS = frozenset(range(13, 20))
_NINO_REFUSED = frozenset({"bg", "gb", "kn", "nk", "nt", "tn", "zz"})
"""Prefixes that are not given out (HMRC, NIM39110)."""
_DNI_LETTERS = "trwagmyfpdxbnjzsqvhlcke"
_RESIDENT_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
"""GB 11643-1999."""
_DIHEDRAL = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_PERMUTED = (
    "0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip
"""Verhoeff, Error Detecting Decimal Codes, 1969: the group's table and the powers of its permutation."""


def digits_of(text: str) -> list[int]:
    """Return the decimal digits in ``text``, whatever stands between them."""
    return [int(character) for character in text if character.isdecimal()]


def luhn(text: str) -> bool:
    """Return whether ``text`` holds the 13 to 19 digits of a payment card with its check digit (ISO/IEC 7812-1)."""
    digits = digits_of(text)
    if len(digits) not in _CARD_LENGTHS or len(set(digits)) == 1:
        return False
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def iban(text: str) -> bool:
    """Return whether ``text`` is an IBAN of a known country, of its length, with its check digits (ISO 13616)."""
    plain = text.replace(" ", "")
    if not plain.isascii() or not plain.isalnum() or _IBAN_LENGTHS.get(plain[:2]) != len(plain):
        return False
    return int("".join(str(int(character, 36)) for character in plain[4:] + plain[:4])) % 97 == 1


def us_ssn(text: str) -> bool:
    """Return whether ``text`` can be a US social security number: area, group and serial that are given out (SSA)."""
    digits = digits_of(text)
    area, group, serial = _number(digits[:3]), _number(digits[3:5]), _number(digits[5:])
    known = digits in ([0, 7, 8, 0, 5, 1, 1, 2, 0], [2, 1, 9, 0, 9, 9, 9, 9, 9])  # printed on specimen cards
    return len(digits) == 9 and area not in {0, 666} and area < 900 and group > 0 and serial > 0 and not known


def uk_nino(text: str) -> bool:
    """Return whether ``text`` has the letters of a UK national insurance number (HMRC, NIM39110)."""
    plain = text.replace(" ", "")
    return (
        len(plain) == 9
        and not set(plain[:2]) & set("dfiquv")
        and plain[1] != "o"
        and plain[:2] not in _NINO_REFUSED
        and plain[2:8].isdecimal()
        and plain[8] in "abcd"
    )


def fr_nir(text: str) -> bool:
    """Return whether ``text`` is a French social security number with its key (INSEE): 15 places, 2A and 2B too."""
    plain = text.replace(" ", "")
    body, key = plain[:-2], plain[-2:]
    number = body.replace("2a", "19", 1) if body[5:7] == "2a" else body.replace("2b", "18", 1)
    if len(plain) != 15 or not (number + key).isdecimal() or plain[0] not in "1234678":
        return False
    return 97 - int(number) % 97 == int(key)


def de_steuer_id(text: str) -> bool:
    """Return whether ``text`` is a German tax id: its repeated digits and its check digit (ISO 7064 MOD 11,10)."""
    digits = digits_of(text)
    if len(digits) != 11 or digits[0] == 0:
        return False
    counts = sorted(digits[:10].count(digit) for digit in set(digits[:10]))
    if counts[-1] not in {2, 3} or counts[:-1].count(1) != len(counts) - 1:
        return False
    product = 10
    for digit in digits[:10]:
        product = ((digit + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == digits[10]


def es_dni(text: str) -> bool:
    """Return whether ``text`` is a Spanish DNI or NIE with its letter (Real Decreto 1553/2005)."""
    plain = text.replace(" ", "").replace(".", "")
    number = plain[:-1].translate(str.maketrans("xyz", "012"))
    return len(plain) == 9 and number.isdecimal() and plain[-1] == _DNI_LETTERS[int(number) % 23]


def br_cpf(text: str) -> bool:
    """Return whether ``text`` is a Brazilian CPF with its two check digits (Receita Federal)."""
    digits = digits_of(text)
    if len(digits) != 11 or len(set(digits)) == 1:
        return False
    for place in (9, 10):
        total = sum(digit * weight for digit, weight in zip(digits[:place], range(place + 1, 1, -1), strict=True))
        if total * 10 % 11 % 10 != digits[place]:
            return False
    return True


def cn_resident(text: str) -> bool:
    """Return whether ``text`` is a Chinese resident id: a day of birth and a check character (GB 11643)."""
    plain = text.replace(" ", "")
    if len(plain) != 18 or not plain[:17].isdecimal() or not (plain[17].isdecimal() or plain[17] == "x"):
        return False
    year, month, day = int(plain[6:10]), int(plain[10:12]), int(plain[12:14])
    if not (1900 <= year <= 2099 and 1 <= month <= 12 and 1 <= day <= 31):
        return False
    total = sum(int(digit) * weight for digit, weight in zip(plain[:17], _RESIDENT_WEIGHTS, strict=True))
    return "10x98765432"[total % 11] == plain[17]


def in_aadhaar(text: str) -> bool:
    """Return whether ``text`` is an Indian Aadhaar number with its check digit (UIDAI; Verhoeff)."""
    digits = digits_of(text)
    if len(digits) != 12 or digits[0] < 2:
        return False
    state = 0
    for place, digit in enumerate(reversed(digits)):
        state = int(_DIHEDRAL[state][int(_PERMUTED[place % 8][digit])])
    return state == 0


def _number(digits: list[int]) -> int:
    return int("".join(map(str, digits)) or 0)


CHECKS: Mapping[str, Callable[[str], bool]] = {
    "email": email,
    "phone": phone,
    "luhn": luhn,
    "iban": iban,
    "us_ssn": us_ssn,
    "uk_nino": uk_nino,
    "fr_nir": fr_nir,
    "de_steuer_id": de_steuer_id,
    "es_dni": es_dni,
    "br_cpf": br_cpf,
    "cn_resident": cn_resident,
    "in_aadhaar": in_aadhaar,
}
"""By the name that a rule's ``check`` has."""
