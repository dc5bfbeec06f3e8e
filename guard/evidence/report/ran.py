"""The sections on when gateways ran, and how their journals stand."""

from guard.evidence.report.known import Row
from guard.evidence.report.markup import Html, bullets, code, element, join, left_out, paragraph, source, table
from guard.evidence.report.summary import hours


def running(found: Row) -> Html:
    """Return what part of the month there is a journal for."""
    rows = found["running"]
    share = [(day["day"], hours(day["seconds"]), _share(day)) for day in rows["days"]]
    return join(
        (
            paragraph(
                f"Known to have run: {hours(rows['seconds'])} of {hours(rows['of'])}. {rows['unclean_stops']:,} runs "
                "ended by a kill or a crash; the last moments of each may be missing."
            ),
            table("Days", ("day", "a gateway ran for", "of the day"), share),
            table(
                "Times without any gateway on record",
                ("from", "to", "how long"),
                [(gap["from"], gap["to"], hours(gap["seconds"])) for gap in rows["gaps"]],
            ),
            table(
                "Runs",
                ("from", "to", "ended", "source"),
                [
                    (
                        f"{run['from']}{' (began earlier)' if run['began_earlier'] else ''}",
                        run["to"],
                        run["ended"],
                        source(run["source"]),
                    )
                    for run in rows["runs"]
                ],
            ),
            table(
                "Torn lines, journals set apart and refused entries",
                ("at", "what", "entries", "source"),
                [
                    (each["at"], each["what"], each["entries"], source(each["source"]))
                    for each in rows["disturbed"]["rows"]
                ],
            ),
            left_out(rows["disturbed"]),
        )
    )


def _share(day: Row) -> str:
    hundredths = day["seconds"] * 1000 // day["of"]
    return f"{hundredths // 10}.{hundredths % 10}%"


def audit_chain(found: Row) -> Html:
    """Return how the journals stand."""
    return join(map(_chain, found["audit_chain"])) or paragraph("There is no journal.", class_="nothing")


def _chain(row: Row) -> Html:
    fault = row["fault"]
    stands = "Every entry follows the one before it."
    if fault is not None:
        stands = (
            f"Does not verify: entry {fault['entry']}: {fault['what']}. "
            f"{row['not_proven']:,} entries from there on are not proven."
        )
    elif not row["verifies"]:
        stands = f"{stands} Nothing speaks for what the first one here follows."
    signed = "checked" if row["signatures_checked"] else "not checked, as there are no public keys (signing/keys.json)"
    said = [
        stands,
        f"Signatures of seals and checkpoints: {signed}.",
        join((f"Its last entry up to the end of the month: {row['length']:,}, head ", code(row["head"]), ".")),
        f"{row['entries_of_month']:,} entries of this month"
        + (f", from entry {row['from']:,} on." if row["from"] else "."),
        "Not compared with heads kept elsewhere: that is done by guard audit verify, with --head or --heads.",
    ]
    if row["clock_set_back"]:
        said.append(f"The clock was set back {row['clock_set_back']:,} times.")
    unreadable = row["unreadable"]
    if unreadable["number"]:
        more = unreadable["number"] - len(unreadable["places"])
        said.append(
            f"{unreadable['number']:,} entries cannot be read, and are in no count: {', '.join(unreadable['places'])}"
            f"{f' and {more:,} more' if more else ''}."
        )
    kinds = [(kind, number) for kind, number in row["kinds"].items()]
    return join(
        (
            element("h3", row["journal"]),
            bullets(said),
            table(f"Entries of {row['journal']} in the month", ("kind", "number"), kinds),
        )
    )
