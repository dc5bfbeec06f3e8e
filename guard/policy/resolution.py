"""From a configured model to the stack of licenses it is under: stated, by its lineage's names, or by its license file.

A family name never identifies a license (``guard.licensing.lineage``). What trained on the outputs of a model inherits
what that model's license passes on.
"""

from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path

from guard.licensing.license import License, OutputRule
from guard.licensing.lineage import stacks
from guard.licensing.text import TextDigests, digests, licenses_with_text, matches
from guard.policy.config import Config
from guard.policy.reading import LICENSE_BYTES, read_bounded
from guard.policy.settings.judge import JudgeConfig
from guard.policy.settings.models import ModelConfig

Stack = tuple[str, ...]


def stack_of(name: str, model: ModelConfig, packs: Mapping[str, License]) -> list[Stack]:
    """Return the stacks of license ids that a configured model may be under: exactly one, or the model is mistaken.

    The license file settles what names leave open; it never overrides them, because a file beside fine-tuned weights is
    often that of the base alone.
    """
    if model.license is not None:
        return [_distinct([*model.license, *passed_on(model, packs)])]
    by_name = [stacks(base, packs, model.revision or "") for base in model.base or (name,)]
    found = [_distinct(id_ for stack in combination for id_ in stack) for combination in product(*by_name)]
    text = license_text(model)
    if len(found) != 1 and text is not None:
        told = licenses_with_text(packs.values(), text)
        found = [stack for stack in found if set(stack) & set(told)] or found or [_distinct([id_]) for id_ in told]
    return [_distinct([*stack, *passed_on(model, packs)]) for stack in found]


def judge_stacks(judge: JudgeConfig, packs: Mapping[str, License]) -> list[Stack]:
    """Return the stacks of licenses that a judge may be under: exactly one, or its license is undetermined."""
    return stack_of(judge.model, ModelConfig(license=judge.license), packs)


def teachers(model: ModelConfig, packs: Mapping[str, License]) -> list[tuple[str, Stack | None]]:
    """Return each model whose outputs trained ``model``, with its licenses; None where they are not known."""
    found = []
    for name in model.outputs_of:
        stated = [(name,)] if name in packs else stacks(name, packs)
        found.append((name, stated[0] if len(stated) == 1 else None))
    return found


def passed_on(model: ModelConfig, packs: Mapping[str, License]) -> list[str]:
    """Return the ids of the licenses that a model is under because it learned from outputs (Gemma 3.2, RAIL 1)."""
    return [
        id_
        for _, stack in teachers(model, packs)
        for id_ in stack or ()
        if packs[id_].output_use.rule is OutputRule.TRAINED_MODEL_INHERITS
    ]


def license_text(model: ModelConfig) -> TextDigests | None:
    """Return the digests of the license file beside the weights, or what is stated of it; None where nothing is."""
    if model.license_file is not None:
        try:
            return digests(read_bounded(Path(model.license_file), LICENSE_BYTES))
        except OSError:
            return None  # the check of the models says that it cannot be read
    return TextDigests(model.license_sha256, "") if model.license_sha256 is not None else None


def drift(model: ModelConfig, stack: Iterable[License]) -> str | None:
    """Return what is wrong with the model's license file, in words; None if nothing is, or nothing can be told.

    A stack is satisfied by the text of any license in it: repositories carry one file.
    """
    if model.license_file is None:
        return None
    found = license_text(model)
    if found is None:
        return "cannot be read"
    if model.license_sha256 is not None:
        if found.sha256 == model.license_sha256:
            return None
        return f"has SHA-256 {found.sha256}, not the one that was read, {model.license_sha256}"
    known = [file for license_ in stack for file in license_.files]
    if not known or any(matches(file, found) for file in known):
        return None
    ids = " + ".join(license_.id for license_ in stack)
    copies = "" if any(file.status.value == "confirmed" for file in known) else ", as far as faithful copies show it"
    return f"is not the text of {ids}{copies} (SHA-256 {found.sha256})"


def license_drift(config: Config, packs: Mapping[str, License]) -> dict[str, bool]:
    """Return, for every license a model with a license file is under, whether such a file is not its text."""
    found: dict[str, bool] = {}
    for name, model in config.models.items():
        stacks_ = stack_of(name, model, packs)
        if model.license_file is None or len(stacks_) != 1:
            continue
        licenses = [packs[id_] for id_ in stacks_[0]]
        wrong = drift(model, licenses) is not None
        for license_ in licenses:
            found[license_.id] = found.get(license_.id, False) or wrong
    return found


def _distinct(ids: Iterable[str]) -> Stack:
    return tuple(dict.fromkeys(ids))
