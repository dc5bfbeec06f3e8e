"""The sections on the policy in force and what was decided under it."""

from guard.evidence.report.known import Row
from guard.evidence.report.markup import Html, bullets, code, counted, element, join, left_out, paragraph, source, table
from guard.evidence.report.summary import hours


def policy(found: Row) -> Html:
    """Return which policy was in force when, and what was changed."""
    rows = found["policy"]
    modes = ", ".join(f"{mode} {hours(seconds)}" for mode, seconds in rows["seconds_by_mode"].items())
    return join(
        (
            paragraph(f"Process time by mode: {modes or 'none on record'}."),
            table(
                "Versions in force",
                ("policy", "mode", "decisions on record", "from", "to", "source"),
                [
                    (
                        code(each["policy"][:16]),
                        _mode(each["mode"]),
                        each["decisions"],
                        f"{each['from']}{' (began earlier)' if each['began_earlier'] else ''}",
                        each["to"],
                        source(each["source"]),
                    )
                    for each in rows["in_force"]
                ],
            ),
            left_out(rows["failed_reloads"]),
            table(
                "Policies that could not be loaded: what was in force stayed",
                ("at", "stayed", "why", "source"),
                [
                    (each["at"], code(each["stayed"][:16]), bullets(each["problems"]), source(each["source"]))
                    for each in rows["failed_reloads"]["rows"]
                ],
            ),
            table(
                "Dangerous changes that were confirmed",
                ("at", "change", "source"),
                [
                    (each["at"], code(each["change"]), source(each["source"]))
                    for each in rows["confirmed_changes"]["rows"]
                ],
            ),
        )
    )


def _mode(mode: str) -> object:
    return element("span", mode, class_="shadow") if mode != "enforce" else mode


def decisions(found: Row) -> Html:
    """Return what was refused, cut, flagged and not evaluated."""
    rows = found["decisions"]
    recorded = {
        (): "No gateway of the month says which decisions are recorded.",
        ("all",): "Every decision is in the chain (evidence.decisions: all).",
    }.get(tuple(rows["recorded"]), "Not recorded: evidence.decisions is notable, plain allows are not in the chain.")
    cause = ("license", "clause", "category", "code")
    kind = ("license", "clause", "category", "direction", "action")
    held = rows["refusals_not_listed"]["number"]
    return join(
        (
            paragraph(f"{rows['entries']:,} decisions on record. {recorded}"),
            counted("Decisions by outcome", ("verdict", "ending"), rows["by_verdict"]),
            counted("Requests refused, by license and clause", cause, rows["refused"]),
            paragraph(f"{held:,} refusals of callers without credentials stand in no entry of their own.")
            if held
            else "",
            counted("Answers cut by a rule", cause, rows["cut"]),
            counted("Served and noted, by kind of finding", kind, rows["flagged"]),
            counted("Not evaluated: served although a check could not be made", ("reason",), rows["not_evaluated"]),
            counted("In shadow: would have been refused, and was served", cause, rows["shadowed"]),
            counted("Refused by place of use", ("country", "license", "clause"), rows["territory"]),
            counted("Noted with decisions", ("note",), rows["noted"]),
            counted("Decisions by tenant", ("tenant", "verdict"), rows["tenants"]),
            counted("Found after the answer had left", kind, rows["late_findings"]),
            counted("Not evaluated after the answer had left", ("reason",), rows["late_not_evaluated"]),
        )
    )
