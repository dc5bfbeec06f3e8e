"""A license pack as a page of documentation, in Markdown."""

from collections.abc import Iterable, Iterator, Mapping

from guard.cli.policy.description import established, threshold_line, whose
from guard.licensing.license import AupItem, License, Threshold, Window
from guard.licensing.lineage import resolve_target
from guard.licensing.obligations import ACTS, Obligation, all_obligations
from guard.licensing.purpose import Purpose
from guard.licensing.verdict import output_use_verdict

Packs = Mapping[str, License]


def page(license_: License, packs: Packs) -> Iterator[str]:
    """Yield the lines of the page of ``license_``; ``packs`` are all licenses, for targets that verdicts speak of."""
    yield f"# {license_.name}"
    yield ""
    yield (
        f"`{license_.id}`, dated {license_.date}, {established(license_.status.value)}. Paraphrases for a gateway to "
        "act on, no legal advice: the license text governs."
    )
    yield ""
    yield from _bullets(f"Source: {source}" for source in license_.sources)
    if license_.models:
        yield from _bullets([f"Models: {', '.join(f'`{pattern}`' for pattern in license_.models)}"])
    for part in license_.derived:
        stack = " and ".join(_link(id_) for id_ in part.licenses)
        models = ", ".join(f"`{pattern}`" for pattern in part.models)
        yield from _bullets([f"Under {stack}: {models} ({part.reason})"])
    if license_.aliases:
        yield from _bullets([f"Also called: {', '.join(license_.aliases)}"])
    for file in license_.files:
        digest = f"SHA-256 `{file.sha256}`" if file.sha256 else f"SHA-256 of the words `{file.words_sha256}`"
        where = " ".join(f"{_cell(file.where)} {file.revision}".split())
        yield from _bullets([f"Text: {where}, {established(file.status.value)}, {digest}"])
    yield from _use(license_)
    yield from _thresholds(license_)
    yield from _outputs(license_, packs)
    yield from _owed(license_)
    yield from _policy(license_)
    yield from _rest(license_)


def _use(license_: License) -> Iterator[str]:
    yield from _heading("Use")
    rows = [
        ("commercial use", license_.commercial, license_.commercial_text, license_.commercial_clause),
        ("hosting", license_.hosting.replace("_", " "), license_.hosting_text, license_.hosting_clause),
    ]
    territory = license_.territory
    if territory is not None:
        kind = territory.kind.replace("_", " ")
        excluded = ", ".join(territory.excluded) + " excluded" if territory.excluded else "law applies"
        rows.append((f"territory ({kind})", excluded, territory.applies_to, territory.clause))
    yield from _table(("", "rule", "what", "clause"), rows)


def _thresholds(license_: License) -> Iterator[str]:
    yield from _heading("Thresholds")
    if not license_.thresholds:
        yield "None."
        return
    rows = (
        (
            threshold_line(part),
            part.scope,
            part.counted_entities,
            whose(part) or "-",
            part.consequence_text,
            triggered(part),
            part.clause,
        )
        for part in license_.thresholds
    )
    yield from _table(("threshold", "scope", "counted", "whose users", "beyond it", "a live count", "clause"), rows)


def triggered(threshold: Threshold) -> str:
    """Return whether a live count triggers ``threshold``, in words."""
    if not threshold.counts_users:
        return "not seen by a gateway: it is stated"
    if threshold.window is Window.RELEASE_SNAPSHOT:
        return f"neither triggers nor cures it: it was tested once, for {threshold.reference_month}"
    if threshold.consequence == "display_duty":
        return "starts the duty; nothing is refused"
    if threshold.window is not Window.STANDING:
        return "is shown beside it"
    return "triggers it" if threshold.monthly else "triggers it, where days are counted (usage.windows)"


def _outputs(license_: License, packs: Packs) -> Iterator[str]:
    yield from _heading("Outputs")
    use = license_.output_use
    about = [use.detail, use.scope and f"covers {use.scope}", use.exception and f"except {use.exception}"]
    clause = f" [{use.clause}]" if use.clause else ""
    rule = use.rule.value.replace("_", " ").capitalize()
    yield f"{rule}{clause}. {_sentence('; '.join(part for part in about if part))}"
    yield ""
    other = "gemma-2-9b" if license_.family != "gemma" else "mistral-7b"
    rows = []
    for stated in ("serve", "evaluate", f"train:{license_.version}", f"train:{other}", "train:an-unknown-model"):
        purpose = Purpose.parse(stated)
        target = resolve_target(purpose.target, packs) if purpose.target else None
        found = output_use_verdict(license_, purpose, target)
        rows.append((f"`{stated}`", str(found.kind).replace("_", " "), found.reason))
    yield from _table(("purpose", "verdict", "because"), rows)


def _owed(license_: License) -> Iterator[str]:
    yield from _heading("Owed")
    for occasion, said in (
        ("serving", "serving"),
        ("distribution", "distributing copies"),
        ("training", "training on outputs"),
    ):
        rows = [
            (item.act, _words(item), item.trigger, item.clause)
            for act in ACTS
            for item in all_obligations([license_])
            if item.act == act and item.kind != "aup_duty" and occasion in item.owed_for
        ]
        yield f"For {said}:"
        yield ""
        if rows:
            yield from _table(("do", "what", "when", "clause"), rows)
        else:
            yield "nothing."
            yield ""


def _words(item: Obligation) -> str:
    places = f" Any one of: {', '.join(place.replace('_', ' ') for place in item.places)}." if item.places else ""
    return f"{_sentence(item.text)}{places}"


def _policy(license_: License) -> Iterator[str]:
    yield from _heading("Acceptable use policy")
    yield _sentence(license_.aup_text) if license_.aup_text else "None."
    yield ""
    if license_.aup:
        yield from _table(
            ("item", "clause", "what Guard does", "seen in text"),
            ((item.paraphrase, item.clause, _done(item), _seen(item)) for item in license_.aup),
        )


def _done(item: AupItem) -> str:
    if not item.categories:
        return f"nothing: not visible in text. Instead: {item.duty}"
    actions: dict[str, list[str]] = {}
    for category in item.categories:
        actions.setdefault(item.action_for(category).name.lower(), []).append(category)
    return ", ".join(f"{action} {' '.join(categories)}" for action, categories in actions.items())


def _seen(item: AupItem) -> str:
    return {"full": "all of it", "partial": "part of it", "none": "none of it"}[item.coverage]


def _rest(license_: License) -> Iterator[str]:
    if license_.questions:
        yield from _heading("Left open")
        for question in license_.questions:
            readings = "; ".join(f"`{name}`: {meaning}" for name, meaning in question.readings)
            yield from _bullets(
                [f"`{question.id}` [{question.clause}]: {question.asks}. {readings}. Default: `{question.default}`."]
            )
    if license_.openness is not None:
        yield from _heading("Openness")
        rated = "no class" if license_.openness.mof_class == "none" else f"class {license_.openness.mof_class}"
        yield f"Model Openness Framework 1.0: {rated}. {_sentence(license_.openness.basis)} For information only."
    if license_.notes:
        yield from _heading("Notes")
        yield from _bullets(license_.notes)


def _heading(text: str) -> Iterator[str]:
    yield ""
    yield f"## {text}"
    yield ""


def _bullets(items: Iterable[str]) -> Iterator[str]:
    for item in items:
        yield f"- {item}"


def _table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield f"|{' --- |' * len(headings)}"
    for row in rows:
        yield f"| {' | '.join(_cell(value) for value in row)} |"
    yield ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("[", "\\[")


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text if not text or text[-1] in ".?!" else f"{text}."


def _link(id_: str) -> str:
    return f"[{id_}]({id_}.md)"
