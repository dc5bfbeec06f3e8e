"""The judge can be asked what it is to be asked, and its own license is known."""

import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path

from guard.licensing.license import License
from guard.policy.api_key import KeyUnusable, api_key
from guard.policy.config import Config
from guard.policy.document import Caution, Document, Location, Problem, nearest
from guard.policy.reading import unreadable
from guard.policy.resolution import judge_stacks, stack_of
from guard.policy.settings.judge import JudgeConfig
from guard.policy.settings.models import ModelConfig
from guard.screening.categories import CATEGORIES

AT: Location = ("screening", "judge")


def judge(
    config: Config, document: Document, packs: Mapping[str, License], environment: Mapping[str, str]
) -> Iterator[Problem]:
    """Yield a problem for everything that the judge could not be asked, or asked in vain."""
    settings = config.screening.judge
    if settings is None:
        return
    yield from _questions(settings, document)
    yield from _reaching(settings, document, environment)
    for index, id_ in enumerate(settings.license or ()):
        if id_ not in packs and not document.misses(("policies",)):
            listed: Location = (*AT, "license", index)
            at = listed if listed in document.lines else (*AT, "license")
            yield document.problem(at, f"unknown license '{id_}'", "the id of a pack", near=nearest(id_, packs))


def _questions(settings: JudgeConfig, document: Document) -> Iterator[Problem]:
    if settings.yes_no is not None and settings.family != "yes_no":
        found = f"a question of one's own for the family {settings.family}"
        yield document.problem((*AT, "yes_no"), found, "none, or family: yes_no")
    if document.misses((*AT, "family"), (*AT, "yes_no")):
        return
    try:
        family = settings.asked()
    except ValueError as error:
        at = AT if settings.yes_no is None else (*AT, "yes_no")
        yield document.problem(at, "a question that cannot be asked", str(error))
        return
    for index, rule in enumerate(settings.rules):
        at = (*AT, "rules", index)
        strange = [category for category in rule.categories if category not in family.categories]
        if strange:
            known = ", ".join(category for category in CATEGORIES if category in family.categories)
            found = f"{', '.join(strange)}, which {settings.family} cannot be asked about"
            yield document.problem((*at, "categories"), found, known)
        if rule.mode == "blocking" and rule.sample < 1:
            found = "a sample together with mode: blocking: what is not in it would not be checked"
            yield document.problem((*at, "sample"), found, "mode: asynchronous, or no sample")
        if rule.outputs and not family.answers:
            yield document.problem((*at, "outputs"), "no question about answers", "yes_no.answer_question")


def _reaching(settings: JudgeConfig, document: Document, environment: Mapping[str, str]) -> Iterator[Problem]:
    if settings.key_file is not None and settings.key_env is not None:
        yield document.problem((*AT, "key_env"), "key_env together with key_file", "one of them")
    elif settings.key_file is not None or settings.key_env is not None:
        name = "key_file" if settings.key_file is not None else "key_env"
        try:
            api_key(settings.key_file, settings.key_env, environment)
        except KeyUnusable as error:
            allowed = "a file with a key in one line" if name == "key_file" else "a set variable"
            yield document.problem((*AT, name), str(error), allowed)
    if settings.ca is None:
        return
    if not settings.url.startswith("https://"):
        found = f"authorities for '{settings.url}', which is not encrypted"
        yield document.problem((*AT, "ca"), found, "an https:// judge")
    elif (reason := unreadable(Path(settings.ca))) is not None:
        yield document.problem((*AT, "ca"), f"cannot be read: {reason}", "a PEM file of authorities")
    else:
        try:
            ssl.create_default_context(cafile=settings.ca)
        except (ssl.SSLError, OSError, ValueError):
            yield document.problem((*AT, "ca"), "a file without authorities", "a PEM file of authorities")


def judge_warnings(config: Config, document: Document, packs: Mapping[str, License]) -> Iterator[Caution]:
    """Yield what is to be known of a judge. ``config`` has no problems."""
    settings = config.screening.judge
    if settings is None:
        return
    subject = f"judge {settings.model}"
    found = judge_stacks(settings, packs)
    if len(found) != 1:
        several = "; ".join(" + ".join(stack) for stack in found)
        listed = f"the packs list it under {several}" if found else "no pack lists it"
        text = f"its license is undetermined: {listed}, so nothing owed for it is shown; license: ID settles it"
        yield document.caution((*AT, "license"), text, subject=subject, strict=True)
    elif settings.license is not None:
        by_name = stack_of(settings.model, ModelConfig(), packs)
        if by_name and set(found[0]) not in [set(stack) for stack in by_name]:
            text = f"license is {' + '.join(found[0])}, but the packs list it under {' + '.join(by_name[0])}"
            yield document.caution((*AT, "license"), text, subject=subject)
    for index, rule in enumerate(settings.rules):
        if rule.outputs and rule.mode == "blocking":
            text = "streamed answers are judged when they have left: findings in them are noted, and nothing is blocked"
            yield document.caution((*AT, "rules", index, "outputs"), text)
