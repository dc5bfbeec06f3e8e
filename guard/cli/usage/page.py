"""A usage report as text: the same lines on every terminal."""

from collections.abc import Iterator
from typing import Any

from guard.cli.usage.lines import item, table, wrapped


def page(document: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the report that ``guard usage report`` makes."""
    yield from _heading(f"Users in {document['period']}", "=")
    yield f"zone    {document['zone']}"
    yield f"from    {document['start']}"
    yield f"to      {document['end']}, which is no part of it"
    yield f"ledger  {_ledger(document['ledger'])}"
    yield ""
    yield from wrapped(document["definition"])
    yield ""
    yield from table(
        ("license", "users", "at least", "at most", "exact"),
        [[each["license"], *_numbers(each), "yes" if each["exact"] else "no"] for each in document["licenses"]],
    )
    for each in document["licenses"]:
        yield ""
        yield from _license(each, document["as_of"])
    yield ""
    yield from _heading("Not in the numbers", "-")
    for omission in document["not_in_the_number"]:
        yield from item(omission)


def _ledger(store: dict[str, Any]) -> str:
    kind = "exact" if store["exact"] else f"an estimate ({store['error_bounds']})"
    key = f"pseudonym key {store['key']}" if store["key"] else "nobody counted under any key"
    return f"{store['store']}, {kind}; {key}"


def _license(each: dict[str, Any], as_of: str) -> Iterator[str]:
    yield from _heading(f"{each['name']} ({each['license']})" if each["name"] else each["license"], "-")
    if each["exact"]:
        yield f"{each['users']:,} users, exactly."
    else:
        yield f"{each['users']:,} users measured; at least {each['lower']:,}, at most {each['upper']:,}:"
        for reason in each["reasons"]:
            yield from item(reason)
    if each["reading"] == "people":
        yield from wrapped("Read as people: an application's shared credential is no user.")
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
            f"attested for {ground['reference_month']} (clause {ground['clause']}), as of {as_of}: {ground['ground']}; "
            f"{said}"
        )
        if ground["lacks"]:
            yield from item(ground["lacks"])
    for peak in each["peaks"]:
        yield from item(
            f"highest {_kind(peak['period'])}: {peak['period']} with {peak['users']:,} users, at least "
            f"{peak['lower']:,}, at most {peak['upper']:,}"
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
    kind = "standing" if limit["standing"] else "release snapshot: no count of another month triggers or cures it"
    yield from item(f"limit {limit['value']:,} ({whose}): {limit['state']} at {limit['upper']:,}; {kind}")
    beyond = f"; beyond it: {limit['consequence'].replace('_', ' ')}" if limit["clause"] else ""
    products = limit["products"].replace("_", " ")
    yield from item(f"counts {products} products, affiliates {limit['affiliates']}{beyond}", "    ")


def _kind(period: str) -> str:
    return {"": "day", "/28d": "window of 28 days", "/30d": "window of 30 days"}[period[10:]]


def _numbers(each: dict[str, Any]) -> list[str]:
    return [f"{each[name]:,}" for name in ("users", "lower", "upper")]


def _heading(text: str, under: str) -> Iterator[str]:
    yield text
    yield under * len(text)
