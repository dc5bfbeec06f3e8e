"""One word for each license: how its users stand to its thresholds, as far as it can be told."""

from collections.abc import Iterable

from guard.evidence.report.known import Row

COUNTED = "within_counted"
RANKS = ("none", "within", "attested", COUNTED, "approaching", "unknown", "over")
"""From the best to the worst; ``none`` is a license without a threshold on users."""
WORDS = {COUNTED: "within what was counted"}
"""What a verdict is called for people, where it is not as it is written."""
EXPECTED = frozenset({"unidentified requests", "other products and services"})
"""What a count leaves out that no gateway can see; anything else was lost, or came before it."""


def verdicts(usage: Row | None, uncounted: str, licenses: Iterable[Row], *, covered: bool) -> list[Row]:
    """Return a row for each of ``licenses``: the verdict, what it rests on, and what is not in it.

    ``covered`` tells whether gateways are known to have run for the month, or all of it that is over.
    """
    counted = {each["license"]: each for each in usage["licenses"]} if usage is not None else {}
    return [_verdict(counted.get(each["license"]), uncounted, each, covered=covered) for each in licenses]


def bounded(limit: Row, *, covered: bool) -> bool:
    """Return True if a standing limit that is not approached is known to hold: nothing can be missing in its count."""
    return covered and limit["upper"] is not None


def _verdict(count: Row | None, uncounted: str, license_: Row, *, covered: bool) -> Row:
    limits = [each for each in license_["thresholds"] if each["counts_users"]]
    found = [_of_limit(each, count, uncounted, covered=covered) for each in limits]
    word = max((verdict for verdict, _ in found), key=RANKS.index, default="none")
    own = [each for each in (count["limits"] or () if count else ()) if not each["clause"]]
    return {
        "license": license_["license"],
        "name": license_["name"],
        "verdict": word,
        "because": [because for verdict, because in found if verdict == word] or ["It has no threshold on users."],
        "clauses": [each["clause"] for each in limits],
        "users": count["users"] if count is not None else None,
        "lower": count["lower"] if count is not None else None,
        "upper": count["upper"] if count is not None else None,
        "not_included": sorted({omitted for each in tested(count) for omitted in each["not_included"]}),
        "own_limits": [
            f"The operator's own limit of {each['value']:,}: {each['state']} at {each['held_against']:,}."
            for each in own
        ],
        "source": {
            "ledger": "counted" if count is not None else "not counted",
            "pack": license_["source"]["pack"],
            "clauses": [{"clause": each["clause"], "status": each["status"]} for each in limits],
        },
    }


def tested(count: Row | None) -> list[Row]:
    """Return the limits of a license's count that are in its text."""
    return [each for each in (count["limits"] or () if count else ()) if each["clause"]]


def _of_limit(threshold: Row, count: Row | None, uncounted: str, *, covered: bool) -> tuple[str, str]:
    """Return what is to be said of one threshold."""
    named = f"Clause {threshold['clause']}, {threshold['value']:,} users"
    if threshold["attested"]:
        ground = threshold["ground"]
        month = threshold["reference_month"]
        if ground == "shown":
            return "attested", f"{named}: attested for {month}; a count of today changes nothing."
        if ground == "beyond":
            return "over", f"{named}: more were attested for {month}; the license gives no rights."
        return "unknown", f"{named}: no attestation in force shows how many there were in {month}."
    found = next((each for each in tested(count) if each["id"] == threshold["id"]), None)
    if found is None:
        why = uncounted or "it was not counted in this month"
        return "unknown", f"{named} ({threshold['metric'].replace('_', ' ')}): {why}."
    because = f"{named}: {found['held_against']:,} users are known of"
    if found["not_included"]:
        because += f"; not included: {', '.join(found['not_included'])}"
    if found["state"] != "ok":
        return str(found["state"]), f"{because}."
    if bounded(found, covered=covered):
        return "within", f"{because}."
    return COUNTED, f"{because}{'' if covered else '; gateways ran for a part of the month only'}."
