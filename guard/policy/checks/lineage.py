"""What models learned from: whether that was allowed, and what it obliges to."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from guard.licensing.license import License
from guard.licensing.lineage import resolve_target
from guard.licensing.obligations import training_obligations
from guard.licensing.purpose import TRAIN, Purpose
from guard.licensing.verdict import OutputVerdict, Verdict, stack_verdict
from guard.policy.config import Config
from guard.policy.document import Caution, Document, Location, Problem, nearest
from guard.policy.reading import LICENSE_BYTES, unreadable
from guard.policy.resolution import drift, stack_of, teachers
from guard.policy.settings.models import ModelConfig


def lineage(config: Config, document: Document, packs: Mapping[str, License]) -> Iterator[Problem]:
    """Yield a problem for every teacher that is unknown or forbids what was done, and every license file not there."""
    packs_lost = document.misses(("policies",))
    for name, model in config.models.items():
        at: Location = ("models", name)
        wrong = unreadable(Path(model.license_file), LICENSE_BYTES) if model.license_file is not None else None
        if wrong is not None:
            there = Path(str(model.license_file)).exists()
            found = f"'{model.license_file}' cannot be read: {wrong}" if there else f"no file '{model.license_file}'"
            yield document.problem((*at, "license_file"), found, "a file that can be read")
        for index, (teacher, stack) in enumerate(teachers(model, packs)):
            where = (*at, "outputs_of", index) if (*at, "outputs_of", index) in document.lines else (*at, "outputs_of")
            if stack is None:
                if not packs_lost:
                    near = nearest(teacher, packs)
                    yield document.problem(
                        where, f"'{teacher}'", "a license id, or a repository that one pack lists", near=near
                    )
                continue
            verdict = _verdict(name, model, [packs[id_] for id_ in stack], packs)
            if verdict.kind is Verdict.DENY:
                yield document.problem(
                    where,
                    f"license {verdict.license} forbids training this model on outputs of {teacher} "
                    f"({verdict.clause}): {verdict.reason}",
                    "a model whose license allows it",
                )


def lineage_warnings(config: Config, document: Document, packs: Mapping[str, License]) -> Iterator[Caution]:
    """Yield what the license files and the lineage of the models want somebody to look at."""
    for name, model in config.models.items():
        at: Location = ("models", name)
        stacks = stack_of(name, model, packs)
        wrong = drift(model, [packs[id_] for id_ in stacks[0]]) if len(stacks) == 1 else None
        if wrong is not None:
            found = f"the license file {model.license_file} {wrong}"
            yield document.caution((*at, "license_file"), found, subject=f"models.{name}", strict=True)
        for teacher, stack in teachers(model, packs):
            licenses = [packs[id_] for id_ in stack or ()]
            verdict = _verdict(name, model, licenses, packs)
            if verdict.kind is Verdict.UNDETERMINED:
                found = (
                    f"whether license {verdict.license} allows training it on outputs of {teacher} is "
                    f"undetermined ({verdict.clause}): {verdict.reason}"
                )
                yield document.caution((*at, "outputs_of"), found, subject=f"models.{name}", strict=True)
            for owed in training_obligations(licenses):
                prefix = owed.wording
                if owed.kind == "name_prefix" and not _plain(name).startswith(_plain(prefix)):
                    found = (
                        f"license {owed.license} wants the name to begin with '{prefix}': "
                        f"it was trained on outputs of {teacher} ({owed.clause})"
                    )
                    yield document.caution(at, found, subject=f"models.{name}")


def _verdict(name: str, model: ModelConfig, teacher: list[License], packs: Mapping[str, License]) -> OutputVerdict:
    """The verdict on training ``model``: its weights' repository says more of its lineage than its served name."""
    target = (model.base or (name,))[0]
    return stack_verdict(teacher, Purpose(TRAIN, target), resolve_target(target, packs))


def _plain(name: str) -> str:
    return "".join(letter for letter in name.rpartition("/")[2].lower() if letter.isalnum())
