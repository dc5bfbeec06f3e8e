"""The report as a page: one file without scripts or anything from elsewhere, made to be read and to be printed."""

from hashlib import sha256
from pathlib import Path

from guard.evidence.report.front import front
from guard.evidence.report.known import Row
from guard.evidence.report.markup import Html, bullets, code, element, join, section, table, text
from guard.evidence.report.sections import SECTIONS

_STYLE = Path(__file__).with_name("report.css")
DIGEST = '<p id="digest">'
"""Begins the line that the page's digest is over everything before."""


def page(found: Row) -> str:
    """Return ``found``, a document with its digest, as an HTML page that ends with a digest of itself."""
    parts = [(name, title, render(found)) for name, title, render in SECTIONS]
    parts.append(("method", "Method and definitions", _method(found)))
    parts.append(("not-visible", "What was not visible", _unseen(found)))
    parts.append(("inputs", "What this was made from", _inputs(found)))
    body = join(section(name, f"{number}. {title}", inside) for number, (name, title, inside) in enumerate(parts, 1))
    contents = element(
        "nav",
        element("h2", "Contents"),
        element("ol", *(element("li", element("a", title, href=f"#{name}")) for name, title, _ in parts)),
        aria_label="Contents",
    )
    title = f"License report {found['month']}"
    style = _STYLE.read_text(encoding="utf-8").replace("MONTH", found["month"]).replace("DIGEST", found["sha256"][:16])
    whole = (
        "<!DOCTYPE html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f"{front(found, title)}{contents}\n<main>\n{body}</main>\n<footer>\n"
        f"<p>SHA-256 of the document in guard-report-{text(found['month'])}.json: {code(found['sha256'])}</p>\n"
    )
    digest = sha256(whole.encode()).hexdigest()
    return f"{whole}{DIGEST}SHA-256 of this file up to this line: {code(digest)}</p>\n</footer>\n</body>\n</html>\n"


def _method(found: Row) -> Html:
    rows = join(element("dt", row["term"]) + element("dd", row["meaning"]) + "\n" for row in found["method"])
    return Html(f"<dl>\n{Html(rows)}</dl>\n")


def _unseen(found: Row) -> Html:
    general = [row for row in found["not_visible"] if row["license"] is None]
    items = [row for row in found["not_visible"] if row["license"] is not None]
    return join(
        (
            table(
                "In this month, and always",
                ("not visible", "why", "instead"),
                [(row["what"], row["why"], row["instead"]) for row in general],
            ),
            table(
                "Items of acceptable use policies that texts do not, or not wholly, show",
                ("license", "clause", "item", "why", "duty that covers it"),
                [
                    (row["license"], row["clause"], row["what"].partition(": ")[2], row["why"], row["instead"])
                    for row in items
                ],
            ),
        )
    )


def _inputs(found: Row) -> Html:
    inputs = found["inputs"]
    files = [(inputs["configuration"]["name"], code(inputs["configuration"]["sha256"]))]
    files += [(f"packs: {each['name']}", code(each["digest"])) for each in inputs["packs"]]
    files += [(f"attestation: {each['name']}", code(each["sha256"])) for each in inputs["attestations"]]
    files += [("usage report, as JSON", code(inputs["usage_report"])), ("coverage of the index", code(inputs["index"]))]
    return join(
        (
            table(
                "Journals, to the end of the month",
                ("journal", "last entry", "its hash"),
                [(each["journal"], each["length"], code(each["head"])) for each in inputs["journals"]],
            ),
            table("Files and results, by SHA-256", ("what", "digest"), files),
            bullets([f"Made by Guard {found['guard']}."]),
        )
    )
