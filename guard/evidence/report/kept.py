"""The sections on receipts, purposes, data sets, behavior and what people added to the counts."""

from guard.evidence.report.known import Row
from guard.evidence.report.markup import Html, bullets, code, counted, join, left_out, paragraph, source, table


def receipts(found: Row) -> Html:
    """Return what is on record of answers and of the data sets made of them."""
    rows = found["receipts"]
    undigested, seals, checkpoints = rows["without_digest"], rows["seals"], rows["checkpoints"]
    late = f"{seals['sealed_late']:,} of them sealed after a kill"
    sealed = f"{seals['number']:,} seals over {seals['sealed']:,} receipts and declarations, {late}. "
    said = [
        join((sealed, source(seals["source"]))),
        join((f"{checkpoints['number']:,} signed checkpoints of the chain. ", source(checkpoints["source"]))),
        join(("Keys that signed: ", join(map(code, rows["keys"]), ", ") if rows["keys"] else "none", ".")),
    ]
    if undigested["number"]:
        said.append(join((f"{undigested['number']:,} receipts have no digest. ", source(undigested["source"]))))
    return join(
        (
            counted("Answers with a receipt", ("licenses", "tenant"), rows["receipts"]),
            bullets(said),
            counted(
                "Purposes stated, once a day each",
                ("purpose", "stated_by", "license", "clause", "verdict"),
                rows["purposes"],
            ),
            table(
                "Data sets checked over the admin port",
                ("at", "target", "verdict", "records", "found", "data set", "source"),
                [
                    (
                        each["at"],
                        each["target"],
                        each["verdict"],
                        each["records"],
                        each["found"],
                        code(each["sha256"]),
                        source(each["source"]),
                    )
                    for each in rows["export_checks"]["rows"]
                ],
            ),
            left_out(rows["export_checks"]),
            table(
                "Months of the index that were deleted",
                ("at", "month", "segments", "source"),
                [
                    (each["at"], each["month"], each["segments"], source(each["source"]))
                    for each in rows["shredded"]["rows"]
                ],
            ),
            *map(_index, rows["index"]),
        )
    )


def _index(row: Row) -> Html:
    counts = row["counts"] or {}
    whole = (
        "holds every answer of the month" if row["complete"] else "does not hold every answer of the month, or may not"
    )
    numbers = [(name.replace("_", " "), number) for name, number in counts.items()]
    return join(
        (
            paragraph(f"The index of what was answered{row['of']} {whole}."),
            bullets(row["reasons"]),
            table(f"The index{row['of']}, in answered choices of the UTC month", ("what", "number"), numbers)
            if numbers
            else "",
        )
    )


def behavior(found: Row) -> Html:
    """Return the steps of identities, and what people added to the counts."""
    return join(
        (
            counted("Steps on the behavior ladder", ("before", "step", "enforced"), found["behavior"]["steps"]),
            table(
                "Added to the counts by people",
                ("at", "what", "license", "period", "from", "users", "owner", "source"),
                [
                    (
                        each["at"],
                        each["what"],
                        each["license"],
                        each["period"],
                        each["from"],
                        each["users"],
                        each["owner"],
                        source(each["source"]),
                    )
                    for each in found["imports"]["rows"]
                ],
            ),
            left_out(found["imports"]),
        )
    )
