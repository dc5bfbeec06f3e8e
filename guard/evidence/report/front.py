"""The first page: verdicts, what must be known and is not, what happened, what is owed."""

from guard.evidence.report.known import Row
from guard.evidence.report.markup import Html, bullets, element, join, paragraph, table, text
from guard.evidence.report.summary import hours
from guard.evidence.report.verdicts import WORDS


def front(found: Row, title: str) -> Html:
    """Return the head of the page and its first sheet."""
    summary = found["summary"]
    return Html(
        f'<header>\n<p class="kind">Guard \u00b7 evidence of one month</p>\n<h1>{text(title)}</h1>\n{_facts(found)}'
        f"</header>\n"
        f'<section id="summary" aria-labelledby="summary-title" class="sheet">\n'
        f'<h2 id="summary-title">Summary</h2>\n{_unknown(summary)}{_verdicts(summary)}{_owed(found)}'
        f"{_incidents(summary)}{_cautions(found)}</section>\n"
    )


def _facts(found: Row) -> Html:
    operator = found["operator"]["name"] or "not configured (operator.name)"
    until = "the whole month" if found["over"] else f"not over; entries until {found['entries_until'] or 'none yet'}"
    rows = (
        ("Operator", operator),
        ("Month", f"{found['start']} to {found['end']} ({found['zone']})"),
        ("Covers", until),
        ("As of", found["as_of"]),
    )
    return Html(f"<dl>\n{join(element('dt', name) + element('dd', value) + chr(10) for name, value in rows)}</dl>\n")


def _unknown(summary: Row) -> Html:
    if not summary["must_be_known"]:
        return paragraph("Every journal verifies, and nothing that must be known is missing.", class_="fine")
    return Html(
        '<div class="alarm" role="note">\n<h3>Must be known, and is not</h3>\n'
        f"{bullets(summary['must_be_known'])}</div>\n"
    )


def _verdicts(summary: Row) -> Html:
    rows = [
        (
            join((element("strong", row["name"]), Html("<br>"), element("code", row["license"]))),
            element("span", WORDS.get(row["verdict"], row["verdict"]), class_=f"verdict {row['verdict']}"),
            row["users"],
            row["lower"],
            "no bound" if row["upper"] is None and row["users"] is not None else row["upper"],
            join(
                (element("span", each, class_="because") for each in (*row["because"], *row["own_limits"])),
            ),
        )
        for row in summary["verdicts"]
    ]
    return table(
        "Verdict for each license",
        ("license", "verdict", "users", "at least", "at most", "because"),
        rows,
        class_="verdicts",
    )


def _owed(found: Row) -> Html:
    summary = found["summary"]
    owed = summary["obligations"]
    recorded = "" if found["decisions"]["recorded"] == ["all"] else " (plain allows are not recorded)"
    running = found["running"]
    return bullets(
        [
            join(
                (
                    element("strong", f"{owed['open']:,} obligations open"),
                    f", {owed['met']:,} met, {owed['condition'] + owed['not_for_serving']:,} conditions and others; ",
                    element("a", "which", href="#obligations"),
                    ".",
                )
            ),
            (
                f"{summary['decisions']:,} decisions on record{recorded}: {summary['refused']:,} refused, "
                f"{summary['cut']:,} answer{'s' * (summary['cut'] != 1)} cut."
            ),
            f"A gateway is known to have run for {hours(running['seconds'])} of {hours(running['of'])}.",
        ]
    )


def _incidents(summary: Row) -> Html:
    rows = [(element("a", row["what"], href=f"#{row['section']}"), row["number"]) for row in summary["incidents"]]
    return table("To be looked at", ("what", "number"), rows, class_="incidents")


def _cautions(found: Row) -> Html:
    rows = list(found["summary"]["cautions"])
    if not found["over"]:
        rows.insert(0, f"The month is not over: this is what was on record as of {found['as_of']}.")
    return Html(f"<h3>To be borne in mind</h3>\n{bullets(rows)}") if rows else Html("")
