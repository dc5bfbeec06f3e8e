"""The operator's page: one render from facts to HTML. Every text is escaped; there is no script on it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

import guard
from guard.exchange.snapshot import Snapshot

STYLE = files(__package__).joinpath("console.css").read_text(encoding="utf-8")
_PAGE = Template(files(__package__).joinpath("console.html").read_text(encoding="utf-8"))
_STATES = {"ok": ("ok", "within"), "approaching": ("warn", "approaching"), "over": ("bad", "over")}
_ATTESTED = {
    "shown": ("ok", "attested"),
    "missing": ("warn", "attestation missing"),
    "open": ("warn", "attestation leaves it open"),
    "beyond": ("bad", "beyond, as attested"),
}
_VERDICTS = {"deny": "bad", "flag": "warn", "not_evaluated": "warn", "allow": "ok"}
_PARTS = {
    "spool": "sightings log",
    "spool_records": "sightings waiting",
    "ledger": "user ledger",
    "audit": "audit log",
    "provenance": "index of outputs",
}
"""What people call the parts that ``ready`` names; others are shown by their own names."""

_DIFFERENCES = 10
"""As many of the last differences of a candidate policy are shown."""

Facts = Mapping[str, Any]


def render(
    snapshot: Snapshot,
    *,
    usage: Sequence[Facts],
    obligations: Sequence[Facts],
    decisions: Sequence[Facts],
    candidate: Facts,
    ready: bool,
    parts: Facts,
) -> str:
    """Return the page as HTML. The shapes of the facts are those of ``guard.transports.admin.AdminRuntime``."""
    return _PAGE.substitute(
        version=escape(guard.__version__),
        mode=escape(snapshot.mode.value),
        hash=escape(snapshot.hash),
        short_hash=escape(snapshot.hash[:12]),
        ready=_badge("ok", "ready") if ready else _badge("bad", "not ready"),
        parts="".join(_part(name, value) for name, value in parts.items() if not _is_shown(name, value)),
        warnings=_warnings(snapshot.warnings),
        usage="".join(_license(row) for row in usage) or _nothing("No license with counted users is configured."),
        models=_models(snapshot),
        obligations=_obligations(obligations),
        decisions=_decisions(decisions),
        candidate=_candidate(candidate["candidate"], candidate["differences"][:_DIFFERENCES]),
    )


def _license(row: Facts) -> str:
    users, lower, upper = row["users"], row["lower"], row["upper"]
    bounds = f"{_number(lower)} to {_number(upper)}" if upper is not None else f"at least {_number(lower)}"
    kind = "exact" if row["exact"] else f"true number: {bounds}"
    reasons = "".join(f"<li>{escape(str(reason))}</li>" for reason in row.get("reasons", ()))
    limits = "".join(_limit(row, limit) for limit in row.get("limits", ()))
    return (
        f'<article class="card"><h3>{escape(row["license"])}</h3>'
        f'<p class="figure">{_number(users)} <span>users in {escape(str(row["period"]))}</span></p>'
        f'<p class="quiet">{kind}</p>'
        + (f'<ul class="quiet">{reasons}</ul>' if reasons else "")
        + (limits or '<p class="quiet">No user threshold.</p>')
        + "</article>"
    )


def _limit(row: Facts, limit: Facts) -> str:
    value, users = limit["value"], row["users"]
    upper = row["upper"] if row["upper"] is not None else users
    level, word = _tested(limit)
    scale = max(value, upper, 1)
    share = "less than 0.1%" if 0 < users < value / 1000 else f"{users / max(value, 1):.1%}"
    label = f"{_number(users)} of {_number(value)} users, {share}, {word}"
    named = f"clause {escape(str(limit['clause']))}" if limit.get("clause") else "the operator's limit"
    effect = "acts at run time" if limit.get("standing") else "early warning: the license tests another date"
    return (
        f'<div class="limit"><p><strong>{_number(value)} users ({named})</strong> {_badge(level, word)}</p>'
        f'<svg class="bar {level}" role="img" aria-label="{escape(label)}" width="100%" height="10">'
        '<rect class="track" width="100%" height="10" rx="5"/>'
        f'<rect class="range" width="{upper / scale:.4%}" height="10" rx="5"/>'
        f'<rect class="fill" width="{users / scale:.4%}" height="10" rx="5"/>'
        f'<rect class="mark" x="{min(value / scale, 0.997):.4%}" width="2" height="10"/></svg>'
        f'<p class="quiet">{share} of the limit; {effect}</p>'
        "</div>"
    )


def _tested(limit: Facts) -> tuple[str, str]:
    """How good a limit's news is, and the words for it; where a past month decides, an attestation says."""
    if limit["state"] is None:
        return _ATTESTED.get(str(limit["attestation"]), ("warn", "not tested by this count"))
    return _STATES.get(str(limit["state"]), ("warn", str(limit["state"])))


def _models(snapshot: Snapshot) -> str:
    rows = []
    for name, model in sorted(snapshot.models.items()):
        licenses = ", ".join(license_.id for license_ in model.licenses) or "undetermined"
        blocked = ", ".join(sorted(model.blocking, key=_naturally)) or "none"
        rows.append((f"<code>{escape(name)}</code>", escape(licenses), escape(blocked)))
    unknown = "served, license undetermined" if snapshot.allow_unknown_models else "refused"
    table = _table("Models and their licenses", ("Model", "Licenses", "Blocking categories"), rows)
    return (table or _nothing("No model is configured.")) + f'<p class="quiet">Any other model: {unknown}.</p>'


def _obligations(obligations: Iterable[Facts]) -> str:
    rows = [
        (
            escape(str(item.get("license") or "-")),
            escape(str(item.get("clause") or "-")),
            escape(str(item.get("kind") or "-")),
            escape(str(item.get("text") or "")),
            escape(str(item.get("trigger") or "")),
        )
        for item in obligations
    ]
    headings = ("License", "Clause", "Kind", "What is owed", "When")
    return _table("Obligations", headings, rows) or _nothing("Nothing is owed under the configured licenses.")


def _decisions(decisions: Iterable[Facts]) -> str:
    rows = []
    for item in decisions:
        refused: Facts = item.get("refused") or next(iter(item.get("shadowed") or ()), {})
        found = {str(finding["category"]) for finding in item.get("findings") or ()}
        category = refused.get("category") or ", ".join(sorted(found, key=_naturally))
        verdict = str(item.get("verdict", "-"))
        rows.append(
            (
                escape(_moment(item.get("time"))),
                f"<code>{escape(str(item.get('reference') or '-'))}</code>",
                _badge(_VERDICTS.get(verdict, "warn"), verdict.replace("_", " ")),
                escape(str(item.get("model") or "-")),
                escape(str(item.get("surface") or "-")),
                escape(str(refused.get("code") or "-")),
                escape(str(refused.get("license") or "-")),
                escape(str(refused.get("clause") or "-")),
                escape(str(category or "-")),
            )
        )
    headings = ("Time (UTC)", "Reference", "Verdict", "Model", "Surface", "Code", "License", "Clause", "Category")
    return _table("Recent decisions", headings, rows) or _nothing("No request was refused or flagged yet.")


def _candidate(policy: Facts | None, differences: Iterable[Facts]) -> str:
    """Return the section of the candidate policy; nothing where none is set."""
    if policy is None:
        return ""
    if not policy["ok"]:
        items = "".join(f"<li>{escape(str(problem))}</li>" for problem in policy["problems"])
        said = f'<p>{_badge("bad", "not loaded")}</p><ul class="quiet">{items}</ul>'
    else:
        said = (
            f'<p class="quiet"><code title="{escape(str(policy["hash"]))}">{escape(str(policy["hash"])[:12])}</code>: '
            f"{_number(policy['compared'])} requests compared, {_number(policy['differing'])} decided otherwise. "
            "Nothing of it is enforced.</p>"
        )
    rows = [
        (
            escape(_moment(item["time"])),
            f"<code>{escape(str(item['reference']))}</code>",
            *map(_outcome, (item["active"], item["candidate"])),
            escape(str(item["model"] or "-")),
        )
        for item in differences
    ]
    headings = ("Time (UTC)", "Reference", "Active policy", "Candidate", "Model")
    return (
        '<section aria-labelledby="candidate-title">\n<h2 id="candidate-title">Candidate</h2>\n'
        f"{said}{_table('Candidate', headings, rows)}\n</section>\n"
    )


def _outcome(outcome: Facts) -> str:
    verdict = str(outcome["verdict"])
    cited = [outcome["reason"], outcome["license"], outcome["clause"], outcome["category"], *outcome["edits"]]
    words = ", ".join(str(word) for word in cited if word and word != "none")
    return f"{_badge(_VERDICTS.get(verdict, 'warn'), verdict.replace('_', ' '))} {escape(words)}"


def _warnings(warnings: Sequence[str]) -> str:
    if not warnings:
        return ""
    items = "".join(f"<li>{escape(text)}</li>" for text in warnings)
    return f'<section class="notice"><h2>The policy warns</h2><ul>{items}</ul></section>'


def _is_shown(name: str, value: object) -> bool:
    """Return whether the page's head says ``value`` already: the policy, and that the start is over."""
    return name == "policy" or (name == "started" and value is True)


def _part(name: str, value: object) -> str:
    if isinstance(value, bool):
        shown = _badge("ok", "yes") if value else _badge("bad", "not yet")
    elif isinstance(value, int):
        shown = _number(value)
    elif value == "off":
        shown = "off"
    else:
        shown = _badge("ok" if value == "ok" else "bad", str(value))
    return f"<div><dt>{escape(_PARTS.get(name) or name.replace('_', ' '))}</dt><dd>{shown}</dd></div>"


def _table(caption: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of cells that are HTML already, or "" without rows."""
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in headings)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td data-label="{escape(name)}"><span>{cell}</span></td>'
            for name, cell in zip(headings, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _badge(level: str, text: str) -> str:
    mark = {"ok": "&#10003;", "warn": "!", "bad": "&#10005;"}[level]
    return f'<span class="badge {level}"><span aria-hidden="true">{mark}</span> {escape(text)}</span>'


def _nothing(text: str) -> str:
    return f'<p class="quiet">{escape(text)}</p>'


def _number(value: int) -> str:
    return f"{value:,}"


def _naturally(name: str) -> list[tuple[int, str]]:
    """Return what to sort ``name`` by, so that S2 comes before S10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", name)]


def _moment(seconds: object) -> str:
    if not isinstance(seconds, int | float):
        return "-"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
