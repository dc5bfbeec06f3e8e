"""What is owed: what is open or comes due, and every duty of the licenses with what answers it."""

from collections.abc import Mapping, Sequence

from guard.console.layout import Frame, page
from guard.console.markup import Content, Html, element, joined
from guard.console.parts import code, nothing, section, table
from guard.console.verdict import WORDS, Facts, due_level, rank
from guard.console.wording import badge, counted, day, sentence
from guard.licensing.obligations import ACTS


def obligations(frame: Frame, *, due: Sequence[Facts], owed: Sequence[Facts]) -> str:
    """Return the page. ``due`` is what has a state or a day, ``owed`` everything the licenses ask for."""
    return page(
        frame,
        "/obligations",
        "Obligations",
        section("Open and due", _due(frame, due), id="due", lead="The worst first, then by day."),
        section("Everything owed", _owed(owed), id="owed",
                lead="For all configured models. What nobody can show stays open: somebody has to state it."),
    )  # fmt: skip


def _due(frame: Frame, due: Sequence[Facts]) -> Html:
    rows = [
        (
            sentence(item.get("what")),
            badge(due_level(item), WORDS.get(str(item.get("state")), str(item.get("state")))),
            day(item.get("by"), frame.now) or "no day",
            joined((item.get("license"), f"clause {item['clause']}" if item.get("clause") else None), ", "),
            str(item.get("how") or ""),
        )
        for item in sorted(due, key=lambda item: (rank(due_level(item)), item.get("by") or "9999"))
    ]
    return table("Open and due", ("What", "State", "By", "License and clause", "How to meet it"), rows) or nothing(
        "Nothing is open or comes due.",
        "Attestations that are missing or lapse, duties nobody stated, shadows and exceptions that expire and keys "
        "about to expire stand here.",
    )


def _owed(owed: Sequence[Facts]) -> Html:
    groups: dict[str, list[Facts]] = {}
    for item in owed:
        groups.setdefault(str(item.get("act") or item.get("kind") or "other"), []).append(item)
    if not groups:
        return nothing(
            "Nothing is owed under the configured licenses.",
            "Notices, names, copies of a license and what else a license asks for stand here with their clauses.",
        )
    order = {act: at for at, act in enumerate(ACTS)}
    return joined(_group(act, groups[act]) for act in sorted(groups, key=lambda act: order.get(act, len(order))))


def _group(act: str, found: Sequence[Facts]) -> Html:
    rows = [
        (
            joined((str(item.get("text") or ""), _wording(item))),
            _met(item),
            ", ".join(str(item[name]) for name in ("license", "clause") if item.get(name)),
            str(item.get("trigger") or ""),
            _models(item.get("models") or ()),
        )
        for item in found
    ]
    title = f"{act[:1].upper()}{act[1:]}"
    shown = table(title, ("What is owed", "Answered by", "License, clause", "When", "For"), rows)
    return joined(
        (element("h3", f"{title} ", element("span", counted(len(found), "duty", "duties"), class_="amount")), shown)
    )


def _wording(item: Facts) -> Content:
    return element("q", str(item["wording"]), class_="wording") if item.get("wording") else None


def _met(item: Facts) -> Html:
    if item.get("stated"):
        return joined((badge("ok", "stated"), Html(" "), _words(item["stated"])))
    if item.get("carried"):
        return badge("ok", "shown with answers")
    return badge("off", "nothing on record")


def _words(stated: object) -> str:
    return ", ".join(str(part) for part in stated.values()) if isinstance(stated, Mapping) else str(stated)


def _models(names: Sequence[object]) -> Html:
    return joined((code(name) for name in names), ", ")
