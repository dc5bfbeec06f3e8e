"""One decision by its reference: what was decided, by which clause of which license, and what followed."""

from collections.abc import Iterable, Mapping
from typing import Any

from guard.console.layout import Frame, page
from guard.console.markup import NOTHING, Content, Html, element, joined
from guard.console.parts import code, facts, hash_, items, nothing, section, table
from guard.console.verdict import Facts
from guard.console.wording import category, moment, number, sentence, verdict

_ENDINGS = {
    "served": "a whole answer was given",
    "refused": "nothing was answered",
    "cut": "the answer was ended early by a rule",
    "drained": "the answer was cut because the process ended",
    "rejected": "the inference server found a mistake in the request",
    "upstream": "the inference server failed",
    "client": "the client went away",
}


def decision(frame: Frame, reference: str, found: Facts) -> str:
    """Return the page of ``reference``; ``found`` is what ``AdminRuntime.decision`` returned."""
    entry: Facts = found["entry"]
    explained: Facts = found.get("explained") or {}
    return page(
        frame,
        "/decisions",
        f"Decision {reference}",
        element("p", element("a", "\u2190 All decisions", href="/decisions"), class_="back"),
        _summary(entry, explained),
        section("What was decided", _facts(frame, entry, explained), id="decided"),
        _clause(explained.get("clause")),
        _rule(explained.get("rule")),
        section("Findings", _findings(entry), id="findings"),
        _duties(explained),
        _late(explained.get("late") or ()),
        section("Receipts", _receipts(explained.get("receipts") or ()), id="receipts"),
    )


def unknown(frame: Frame, reference: str) -> str:
    """Return the page of a reference of which nothing is remembered."""
    return page(
        frame,
        "/decisions",
        "Decision not found",
        element("p", element("a", "\u2190 All decisions", href="/decisions"), class_="back"),
        nothing(
            "Nothing is remembered of this reference.",
            "Plain allows are written down only with ", code("evidence.decisions: all"),
            ", and older entries are read from the audit log: ",
            code(f"guard policy explain --reference {reference}"),
        ),
    )  # fmt: skip


def _summary(entry: Facts, explained: Facts) -> Html:
    said = str(explained.get("summary") or _ENDINGS.get(str(entry.get("ending")), ""))
    return element("p", verdict(entry.get("verdict")), Html(" "), sentence(said), class_="verdict")


def _facts(frame: Frame, entry: Facts, explained: Facts) -> Html:
    refused: Facts = entry.get("refused") or next(iter(entry.get("shadowed") or ()), {})
    named: Facts = explained.get("category") or {}
    licenses = ", ".join(map(str, entry.get("licenses") or ()))
    ending = str(entry.get("ending") or "")
    return facts(
        [
            ("time (UTC)", moment(entry.get("time"), frame.now)),
            ("ending", _ENDINGS.get(ending, ending)),
            ("error code", code(refused["code"]) if refused.get("code") else None),
            ("license", str(refused.get("license") or "") or None),
            ("clause", str(refused.get("clause") or "") or None),
            ("category", _category(named, refused)),
            ("model", code(entry["model"]) if entry.get("model") else None),
            ("licenses of the model", licenses),
            ("surface", str(entry.get("surface") or "")),
            ("mode", str(entry.get("mode") or "")),
            ("policy", hash_(explained.get("policy") or entry.get("policy"))),
            ("checks not made", ", ".join(map(str, entry.get("not_evaluated") or ()))),
            ("audit log", _place(entry)),
        ]
    )


def _category(named: Facts, refused: Facts) -> str | None:
    if named.get("id"):
        return f"{named['id']} {named.get('name') or ''}".strip()
    return category(refused["category"]) if refused.get("category") else None


def _place(entry: Facts) -> Content:
    if not entry.get("instance"):
        return None
    return joined((code(entry["instance"]), f", entry {number(entry.get('seq'))}"))


def _clause(clause: Facts | None) -> Html:
    if not clause:
        return NOTHING
    text = str(clause.get("text") or clause.get("summary") or "")
    named = ", ".join(str(clause[name]) for name in ("name", "clause") if clause.get(name))
    confirmed = clause.get("confirmed")
    status = (
        "confirmed against the license's text"
        if confirmed is True
        else "not confirmed"
        if confirmed is False
        else str(confirmed or "")
    )
    return section(
        "The clause",
        element(
            "figure",
            element("blockquote", element("p", text or "The pack holds no words of it.")),
            element(
                "figcaption",
                named,
                f" ({clause['license']})" if clause.get("license") else None,
                f": {status}" if status else None,
            ),
            class_="quote",
        ),
        id="clause",
    )


def _rule(rule: object) -> Html:
    if not rule:
        return NOTHING
    shown = (
        facts((str(name).replace("_", " "), _plain(value)) for name, value in rule.items())
        if isinstance(rule, Mapping)
        else element("p", code(rule))
    )
    return section("The rule", shown, id="rule")


def _findings(entry: Facts) -> Html:
    rows = [_finding(item) for item in entry.get("findings") or ()]
    headings = ("Rule", "Category", "In", "Action", "License and clause", "Where (characters)")
    return table("Findings", headings, rows) or nothing(
        "No rule found anything in the texts.",
        "Which rules did, in what part of the request and to what effect, would stand here: never the words.",
    )


def _finding(item: Facts) -> tuple[Content, ...]:
    where = " ".join(str(item[name]) for name in ("license", "clause") if item.get(name))
    span = f"{item['start']} to {item['end']}" if item.get("end") is not None else ""
    source = " ".join(str(item[name]) for name in ("direction", "source") if item.get(name)).replace("_", " ")
    place = joined((code(item["path"]), f" {span}")) if item.get("path") else span
    return code(item.get("rule")), category(item.get("category")), source, str(item.get("action") or ""), where, place


def _duties(explained: Facts) -> Html:
    shown = items(_plain(duty) for duty in explained.get("duties") or ())
    return section("What it brings with it", shown, id="duties") if shown else NOTHING


def _late(late: Iterable[Facts]) -> Html:
    rows = [row for entry in late for row in (_finding(item) for item in (entry.get("findings") or (entry,)))]
    shown = table(
        "Found after the answer had left",
        ("Rule", "Category", "In", "Action", "License and clause", "Where (characters)"),
        rows,
    )
    return (
        section(
            "Found after the answer had left",
            shown,
            id="late",
            lead="Checks that only note: nothing was refused because of it.",
        )
        if shown
        else NOTHING
    )


def _receipts(receipts: Iterable[Any]) -> Html:
    shown = items(code(_receipt(receipt)) for receipt in receipts)
    return shown or nothing(
        "No receipt.", "Every answer's receipt stands here: ", code("guard export receipt ID"), " shows what it says."
    )


def _receipt(receipt: object) -> str:
    if isinstance(receipt, Mapping):
        return str(receipt.get("id") or receipt.get("receipt") or "")
    return str(receipt)


def _plain(value: object) -> str:
    """Return a fact in one line of text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{str(name).replace('_', ' ')} {_plain(each)}" for name, each in value.items() if each)
    if isinstance(value, list | tuple):
        return ", ".join(_plain(each) for each in value)
    return number(value) if isinstance(value, int) and not isinstance(value, bool) else str(value)
