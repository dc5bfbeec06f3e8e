"""The sections on licenses and what is owed."""

from guard.evidence.report.known import Row
from guard.evidence.report.markup import Html, code, element, join, paragraph, table


def licenses(found: Row) -> Html:
    """Return what the licenses are, and what their packs say."""
    return join(map(_license, found["licenses"]))


def _license(row: Row) -> Html:
    facts = [
        (name, fact["value"].replace("_", " "), fact["text"], fact["clause"], fact["status"])
        for name, fact in (
            ("commercial use", row["commercial"]),
            ("hosting for others", row["hosting"]),
            ("use of outputs", row["output_use"]),
            ("territory", row["territory"]),
        )
        if fact is not None
    ]
    facts += [
        (
            each["metric"].replace("_", " "),
            _number(each),
            f"{each['scope']}; beyond it: {each['consequence_text']}",
            each["clause"],
            each["status"],
        )
        for each in row["thresholds"]
    ]
    facts += [
        ("reading", each["reading"], each["question"], each["clause"], "the operator's") for each in row["readings"]
    ]
    use = row["acceptable_use"]
    facts.append(
        (
            "acceptable use",
            f"{use['items']} items",
            f"{use['not_in_text']} of them show in no text, {use['partly_in_text']} in part. {use['text']}",
            "",
            use["status"],
        )
    )
    files = [
        (each["where"], each["revision"], code(each["sha256"]), code(each["words_sha256"]), each["status"])
        for each in row["files"]
    ]
    files += [(f"beside {each['model']}", "", code(each["sha256"]), Html(""), "as found") for each in row["files_here"]]
    return join(
        (
            element("h3", f"{row['name']} ({row['license']})"),
            paragraph(f"Of {row['date']}, {row['status']}. Serves: {', '.join(row['models'])}."),
            table(f"What {row['license']} says", ("about", "value", "in words", "clause", "confirmation"), facts),
            table(
                f"The text of {row['license']}",
                ("where", "revision", "SHA-256", "SHA-256 of its words", "confirmation"),
                files,
            ),
        )
    )


def _number(each: Row) -> str:
    if each["value"] is None:
        return "no number"
    sign = "below" if each["comparator"] == "must_be_less_than" else "at most"
    unit = f" {each['unit']}" if each["unit"] else ""
    month = f" in {each['reference_month']}" if each["reference_month"] else ""
    return f"{sign} {each['value']:,}{unit}{month} ({each['window'].replace('_', ' ')})"


def obligations(found: Row) -> Html:
    """Return what is owed, and how it is known to be met."""
    groups = (
        ("open", "Open: nothing shows that it is met"),
        ("met", "Met, and how that is known"),
        ("condition", "Conditions of the license"),
        ("not_for_serving", "Not owed for serving"),
    )
    return join(
        table(
            title,
            ("license", "clause", "what", "how it stands", "owner, until", "confirmation"),
            [
                (
                    row["license"],
                    row["clause"],
                    f"{row['act'].capitalize()}: {row['text']}",
                    join(
                        (
                            element("span", row["how"] or row["state"].replace("_", " "), class_=row["state"]),
                            ": ",
                            row["words"],
                        )
                    ),
                    ", ".join(filter(None, (row["owner"], row["expires"]))),
                    row["status"],
                )
                for row in found["obligations"]
                if row["state"] == state
            ],
        )
        for state, title in groups
    )
