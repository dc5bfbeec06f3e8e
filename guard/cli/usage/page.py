"""A usage report as text: the same lines on every terminal."""

from collections.abc import Iterator
from typing import Any

from guard.cli.usage.lines import AS_PEOPLE, counts_table, item, table, wrapped


def page(document: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the report that ``guard usage report`` makes."""
    yield from _heading(f"Users in {document['period']}", "=")
    yield f"zone    {document['zone']}"
    yield f"from    {document['start']}"
    yield f"to      {document['end']}, which is no part of it"
    yield from wrapped(f"ledger  {_ledger(document['ledger'])}", rest=" " * 8)
    yield from wrapped(f"limits  {_rules(document['limits_from'])}", rest=" " * 8)
    yield f"made    by Guard {document['guard']}, as of {document['as_of']}"
    if not document["over"]:
        until = document["sightings_until"]
        newest = f"its newest sighting is of {until}" if until else "no sighting in it has a day"
        yield ""
        yield from wrapped(
            f"The month is not over in this ledger: {newest}, and none is of a later month. What comes after that is "
            "not in this report."
        )
    yield ""
    yield from wrapped(document["definition"])
    yield ""
    yield from counts_table(document["licenses"])
    for each in document["licenses"]:
        yield ""
        yield from _license(each, document)
    yield ""
    yield from _heading("Not in the numbers", "-")
    for omission in document["not_in_the_number"]:
        yield from item(omission)


def _ledger(store: dict[str, Any]) -> str:
    kind = "exact" if store["exact"] else f"an estimate ({store['error_bounds']})"
    key = f"pseudonym key {store['key']}" if store["key"] else "nobody counted under any key"
    power = (
        "what it has survives a power cut"
        if store["survives_power_loss"]
        else "what it has survives a killed process, its last writes maybe no power cut"
    )
    kept = (
        "the server may forget what it had; the gateways of the month still hold it then, and write it again"
        if store["forgetful"]
        else "it forgets nothing"
    )
    return f"{store['store']}, {kind}; {key}; {power}; {kept}"


def _rules(files: list[dict[str, str]] | None) -> str:
    if files is None:
        return "follow from a configuration, and none was given"
    return "from " + "; ".join(f"{file['name']}, digest {file['digest']}" for file in files)


def _license(each: dict[str, Any], document: dict[str, Any]) -> Iterator[str]:
    yield from _heading(f"{each['name']} ({each['license']})" if each["name"] else each["license"], "-")
    users = f"{each['users']:,} user{'' if each['users'] == 1 else 's'}"
    so_far = "" if document["over"] else " so far"
    if each["exact"]:
        yield f"{users}{so_far}, exactly."
    else:
        measured = f"measured here{so_far}" + (", exactly" if each["measured"]["exact"] else "")
        most = "no upper bound" if each["upper"] is None else f"at most {each['upper']:,}"
        yield f"{users} {measured}; at least {each['lower']:,}, {most}:"
        for reason in each["reasons"]:
            yield from item(reason)
    if each["reading"] == "people":
        yield f'"Active user" is {AS_PEOPLE}'
    yield ""
    if each["limits"] is None:
        yield from wrapped("Limits follow from a configuration, and none was given.")
    elif not each["limits"]:
        yield "No limit on users of a month."
    for limit in each["limits"] or ():
        yield from _limit(limit)
    for ground in each["attestations"]:
        said = ground["statement"] or "no attestation in force"
        yield from item(
            f"attested for {ground['reference_month']} (clause {ground['clause']}), as of {document['as_of']}: "
            f"{ground['ground']}; {said}"
        )
        if ground["lacks"]:
            yield from item(ground["lacks"])
    for peak in each["peaks"]:
        most = "no upper bound" if peak["upper"] is None else f"at most {peak['upper']:,}"
        yield from item(
            f"highest {_kind(peak['period'])}: {peak['period']} with {peak['users']:,} users, at least "
            f"{peak['lower']:,}, {most}"
        )
        for limit in peak["limits"] or ():
            yield from _limit(limit)
    if each["declared"]:
        yield ""
        yield from table(
            ("declared", "part", "users", "stated", "owner"),
            [
                [one["source"], one["part"], f"{one['users']:,}" if one["users"] else "withdrawn", one["stated"],
                 one["owner"]]
                for one in each["declared"]
            ],
        )  # fmt: skip
    if each["merged"]:
        yield ""
        yield from table(
            ("merged from", "made", "requests that named nobody"),
            [[one["source"], one["stated"], f"{one['unidentified_requests']:,}"] for one in each["merged"]],
        )
    if each["growth"]:
        yield ""
        yield from table(
            ("day", "new", "returning"),
            [
                [one["day"], f"{one['new']:,}", "?" if one["returning"] is None else f"{one['returning']:,}"]
                for one in each["growth"]
            ],
        )
        if each["undated_users"]:
            yield from wrapped(f"{each['undated_users']:,} users came on no known day: merged, or still in the spool.")


def _limit(limit: dict[str, Any]) -> Iterator[str]:
    whose = f"clause {limit['clause']}" if limit["clause"] else "your own"
    left_out = f"; {', '.join(limit['not_included'])} not included" if limit["not_included"] else ""
    at = f"{limit['held_against']:,}{left_out}"
    if limit["standing"]:
        yield from item(f"limit {limit['value']:,} ({whose}, standing): {limit['state']} at {at}")
    else:
        ground = f"; attestation: {limit['attestation']}" if limit["attestation"] else ""
        yield from item(
            f"limit {limit['value']:,} ({whose}, release snapshot): not tested by this count, as no count of another "
            f"month triggers or cures it{ground}; as an early warning: {at}"
        )
    beyond = f"; beyond it: {limit['consequence'].replace('_', ' ')}" if limit["clause"] else ""
    products = limit["products"].replace("_", " ")
    read = f", read as {limit['affiliates_read']} (usage.affiliates)" if limit["affiliates_read"] else ""
    yield from item(f"counts {products} products, affiliates {limit['affiliates']}{read}{beyond}", "    ")


def _kind(period: str) -> str:
    return {"": "day", "/28d": "window of 28 days", "/30d": "window of 30 days"}[period[10:]]


def _heading(text: str, under: str) -> Iterator[str]:
    yield text
    yield under * len(text)
