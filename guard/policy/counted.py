"""Whose users a threshold counts, in the plain words of a statement that is about all of them."""

from guard.licensing.license import Threshold

PRODUCTS = {
    "all": "all products and services made available by or for the licensee, with or without the model",
    "with_model": "all products and services of the licensee that use the model, taken together",
    "each": "the product or service of the licensee with most users of those that use the model",
}
_TOGETHER = "the licensee and its affiliates, taken together"
_ALONE = "the licensee without its affiliates"
_READING = "the license does not mention affiliates; this is a reading of it"


def products(threshold: Threshold) -> str:
    """Return the products whose users ``threshold`` counts, for one on users."""
    return PRODUCTS[threshold.products]


def affiliates(threshold: Threshold, reading: str | None) -> str:
    """Return the companies whose users ``threshold`` counts, for one on users.

    Where the license is silent that is a ``reading``, the operator's (``include`` or ``exclude``) or, for None, the
    cautious one, and the words say that it is.
    """
    if threshold.affiliates != "unmentioned":
        return _TOGETHER if threshold.affiliates == "included" else _ALONE
    return f"{_ALONE if reading == 'exclude' else _TOGETHER} ({_READING})"
