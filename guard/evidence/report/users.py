"""The section on users: counts with their bounds, limits, attestations and crossings."""

from guard.evidence.report.known import Row
from guard.evidence.report.markup import Html, bullets, code, element, join, paragraph, source, table


def users(found: Row) -> Html:
    """Return what is known of the users of the month."""
    usage = found["usage"]
    if usage is None:
        counted = paragraph(f"Not known: {found['not_counted']}.")
    else:
        store = usage["ledger"]
        kind = "exact" if store["exact"] else f"an estimate ({store['error_bounds']})"
        counted = join(
            (
                paragraph(usage["definition"]),
                paragraph(
                    f"Zone {usage['zone']}. Ledger: {store['store']}, {kind}; pseudonym key {store['key'] or 'none'}."
                ),
                *map(_license, usage["licenses"]),
            )
        )
    return join((counted, _attestations(found), _crossings(found)))


def _license(row: Row) -> Html:
    limits = [
        (
            limit["id"],
            limit["value"],
            f"clause {limit['clause']}" if limit["clause"] else "the operator's own",
            limit["state"] if limit["standing"] else f"not tested by this count; attestation: {limit['attestation']}",
            limit["held_against"],
            ", ".join(limit["not_included"]),
            limit["consequence"].replace("_", " ") if limit["clause"] else "",
        )
        for limit in row["limits"] or ()
    ]
    stated = [(each["source"], each["part"], each["users"], each["stated"], each["owner"]) for each in row["declared"]]
    merged = [(each["source"], each["stated"], each["unidentified_requests"]) for each in row["merged"]]
    measured = f"{row['users']:,} user{'s' * (row['users'] != 1)} measured" if row["counted"] else "not counted"
    upper = "no upper bound" if row["upper"] is None else f"at most {row['upper']:,}"
    reading = '"Active user" is read as people (usage.readings).' if row["reading"] == "people" else ""
    grown = [
        (each["day"], each["new"], "?" if each["returning"] is None else each["returning"]) for each in row["growth"]
    ]
    return join(
        (
            element("h3", f"{row['name'] or row['license']} ({row['license']})"),
            paragraph(
                element("strong", measured),
                f"; at least {row['lower']:,}, {upper}. {reading} ",
                source({"ledger": row["license"]}),
            ),
            bullets(row["reasons"]),
            table(
                f"Limits on users of {row['license']}",
                ("limit", "value", "whose", "state", "held against", "not included", "beyond it"),
                limits,
            ),
            table("Numbers stated", ("source", "part", "users", "stated", "owner"), stated) if stated else "",
            table("Gateways merged", ("source", "made", "requests that named nobody"), merged) if merged else "",
            table(f"Users of {row['license']} by day", ("day", "new", "returning"), grown) if grown else "",
        )
    )


def _attestations(found: Row) -> Html:
    rows = [
        (
            row["license"],
            f"clause {row['clause']}, {row['reference_month']}",
            element("span", row["ground"], class_="met" if row["ground"] == "shown" else "open"),
            row["statement"] or row["lacks"],
            row["expires"],
            code(row["sha256"]),
        )
        for row in found["attestations"]
    ]
    heading = ("license", "looks at", "shows it", "statement", "until", "file, SHA-256")
    return table(f"Attestations as of {found['as_of']}", heading, rows)


def _crossings(found: Row) -> Html:
    rows = [
        (
            row["at"],
            row["license"],
            row["limit"],
            row["value"],
            row["users"],
            f"{row['before'] or 'first look'} to {row['after']}",
            source(row["source"]),
        )
        for row in found["crossings"]["rows"]
    ]
    names = ("at", "license", "limit", "value", "users", "state", "source")
    return table("Limits that came into another state, as each process noted it", names, rows)
