"""License packs: one YAML file per license text, typed strictly and turned into the core's License."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, model_validator

from guard.licensing.license import (
    AupItem,
    Derivation,
    Duty,
    License,
    OutputRule,
    OutputUse,
    Status,
    Territory,
    Threshold,
    Window,
)
from guard.policy.document import Document, PolicyError, Problem, nearest, parse, read_text
from guard.policy.locations import shipped_licenses, yaml_files
from guard.policy.validation import validate
from guard.policy.values import ActionName, CategoryCode
from guard.screening.findings import Action


class Part(BaseModel):
    """Strict and immutable: an unknown name is a mistake, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _clause(value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise ValueError('the clause as text, in quotes: "1.b.i"')


Clause = Annotated[str, PlainValidator(_clause)]
Text = Annotated[str, Field(min_length=1)]
Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]


class ThresholdPart(Part):
    """A number and what it changes."""

    id: Text
    metric: Literal[
        "monthly_active_users",
        "daily_active_users",
        "monthly_revenue",
        "annual_revenue",
        "revenue_12_months",
        "revenue",
    ]
    value: Annotated[int, Field(gt=0)] | None = None
    unit: str | None = None
    comparator: Literal["greater_than", "must_be_less_than"] = "greater_than"
    window: Window
    reference_month: Annotated[str, Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")] | None = None
    scope: Text
    counted: Text
    consequence: Literal["no_rights", "display_duty", "termination", "separate_agreement", "royalty"]
    effect: Text
    exempt: str = ""
    clause: Clause
    status: Status

    @model_validator(mode="after")
    def _month(self) -> Self:
        if (self.window is Window.RELEASE_SNAPSHOT) != (self.reference_month is not None):
            raise ValueError("reference_month with window release_snapshot, and only with it")
        return self

    def core(self) -> Threshold:
        """Return the threshold as the core knows it."""
        return Threshold(
            self.id, self.metric, self.value, self.unit, self.comparator, self.window, self.reference_month, self.scope,
            self.counted, self.consequence, self.effect, self.clause, self.status, self.exempt,
        )  # fmt: skip


class OutputUsePart(Part):
    """What the license says about training on outputs."""

    rule: OutputRule
    scope: str = ""
    exception: str = ""
    detail: str = ""
    clause: str = ""
    status: Status

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.rule.forbids_training and not (self.scope and self.exception):
            raise ValueError("scope and exception: a rule against training says what it covers and what it excepts")
        if self.rule is not OutputRule.UNRESTRICTED and not self.clause:
            raise ValueError("clause: every rule but unrestricted cites one")
        return self


class DutyPart(Part):
    """Something owed."""

    kind: Literal[
        "display", "notice_file", "license_copy", "name_prefix", "disclosure", "flow_down", "inherit_terms", "use_limit"
    ]
    text: Text
    trigger: Text
    owed_for: Annotated[tuple[Literal["serving", "distribution", "training"], ...], Field(min_length=1)]
    clause: Clause
    status: Status


class TerritoryPart(Part):
    """Where there are no rights, or what law is named."""

    kind: Literal["licensee_domicile", "place_of_use", "sanctions", "export_law"]
    excluded: tuple[Annotated[str, Field(pattern="^[A-Z]{2}$")], ...] = ()
    applies_to: Text
    clause: Clause
    status: Status


class ItemPart(Part):
    """One item of the acceptable use policy."""

    id: Annotated[str, Field(pattern="^[a-z_]+$")]
    means: Text
    clause: Clause
    categories: tuple[CategoryCode, ...] = ()
    coverage: Literal["full", "partial", "none"]
    decidable: Literal["content", "content+context", "context", "process"]
    action: ActionName = Action.OFF
    otherwise: dict[CategoryCode, ActionName] = Field(default_factory=dict)
    duty: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.coverage == "none") != (not self.categories):
            raise ValueError("coverage none without categories; categories with coverage full or partial")
        if not self.categories and (self.action is not Action.OFF or not self.duty):
            raise ValueError("an item no text shows has no action, and a duty that stands in for it")
        if set(self.otherwise) - set(self.categories):
            raise ValueError("otherwise names categories of the item only")
        return self


class AupPart(Part):
    """The acceptable use policy."""

    text: Text
    status: Status
    items: tuple[ItemPart, ...] = ()


class DerivedPart(Part):
    """Models under several licenses at once."""

    models: Annotated[tuple[Text, ...], Field(min_length=1)]
    licenses: Annotated[tuple[Id, ...], Field(min_length=2)]
    reason: Text


class TermsPart(Part):
    """Commercial use or hosting, with its clause."""

    rule: Text
    text: str = ""
    clause: str = ""


class CommercialPart(TermsPart):
    """Whether commercial use is allowed."""

    rule: Literal["allowed", "conditional", "prohibited"] = "allowed"


class HostingPart(TermsPart):
    """Whether others may be served."""

    rule: Literal["allowed", "distribution", "separate_permission"] = "allowed"


class Pack(Part):
    """One license text."""

    id: Id
    name: Text
    date: Text
    status: Status
    family: Id
    version: Id
    sources: Annotated[tuple[Text, ...], Field(min_length=1)]
    models: tuple[Text, ...] = ()
    aliases: tuple[Text, ...] = ()
    derived: tuple[DerivedPart, ...] = ()
    commercial: CommercialPart = CommercialPart()
    hosting: HostingPart = HostingPart()
    thresholds: tuple[ThresholdPart, ...] = ()
    output_use: OutputUsePart
    duties: tuple[DutyPart, ...] = ()
    territory: TerritoryPart | None = None
    aup: AupPart | None = None
    notes: tuple[Text, ...] = ()

    def core(self) -> License:
        """Return the license as the core knows it."""
        use, aup = self.output_use, self.aup
        return License(
            id=self.id,
            name=self.name,
            date=self.date,
            status=self.status,
            family=self.family,
            version=self.version,
            models=self.models,
            derived=tuple(Derivation(part.models, part.licenses, part.reason) for part in self.derived),
            aliases=self.aliases,
            commercial=self.commercial.rule,
            commercial_text=self.commercial.text,
            commercial_clause=self.commercial.clause,
            hosting=self.hosting.rule,
            hosting_text=self.hosting.text,
            hosting_clause=self.hosting.clause,
            thresholds=tuple(part.core() for part in self.thresholds),
            output_use=OutputUse(use.rule, use.scope, use.exception, use.detail, use.clause, use.status),
            duties=tuple(
                Duty(part.kind, part.text, part.trigger, part.clause, part.status, part.owed_for)
                for part in self.duties
            ),
            territory=_territory(self.territory),
            aup=tuple(_item(part) for part in aup.items) if aup else (),
            aup_text=aup.text if aup else "",
            aup_status=aup.status if aup else self.status,
            sources=self.sources,
            notes=self.notes,
        )


def _territory(part: TerritoryPart | None) -> Territory | None:
    return Territory(part.kind, part.excluded, part.applies_to, part.clause, part.status) if part else None


def _item(part: ItemPart) -> AupItem:
    return AupItem(
        part.id, part.means, part.clause, part.categories, part.coverage, part.decidable, part.action, part.duty,
        tuple(part.otherwise.items()),
    )  # fmt: skip


def load_packs(directories: Iterable[Path]) -> dict[str, License]:
    """Return the licenses of every pack in ``directories``, by id, in file order.

    Raises PolicyError with every problem of every pack: a mistake in a file, an id that is not the file's name or is
    that of two different packs, a lineage that names an unknown license.
    """
    problems: list[Problem] = []
    found: dict[str, tuple[License, Document]] = {}
    texts: dict[str, str] = {}
    for directory in directories:
        if not directory.is_dir():
            problems.append(Problem(str(directory), 1, "", "cannot be read: no such directory", "a directory of packs"))
            continue
        for path in yaml_files(directory):
            try:
                text = read_text(path)
                license_, document = parse_pack(text, str(path))
            except PolicyError as error:
                problems += error.problems
                continue
            if texts.setdefault(license_.id, text) == text and license_.id in found and license_.id == path.stem:
                continue  # a copy, word for word, is the same pack
            if license_.id in found:
                first = found[license_.id][1].file
                problems.append(document.problem(("id",), f"'{license_.id}' is in {first} already", "an id of its own"))
            elif license_.id != path.stem:
                problems.append(document.problem(("id",), f"'{license_.id}'", f"the file's name, '{path.stem}'"))
            found.setdefault(license_.id, (license_, document))
    problems += _lineage_problems(found)
    if problems:
        raise PolicyError(problems)
    return {id_: license_ for id_, (license_, _) in found.items()}


def shipped_packs() -> Mapping[str, License]:
    """Return the licenses that ship with Guard, by id; read once per process."""
    return _shipped(shipped_licenses())


@lru_cache(maxsize=1)
def _shipped(directory: Path) -> Mapping[str, License]:
    return MappingProxyType(load_packs([directory]))


@lru_cache(maxsize=256)
def parse_pack(text: str, file: str) -> tuple[License, Document]:
    """Return the license in ``text`` and its document, remembered by content. Raises PolicyError."""
    document = parse(text, file)
    return validate(document, Pack).core(), document


def _lineage_problems(found: Mapping[str, tuple[License, Document]]) -> list[Problem]:
    problems = []
    for license_, document in found.values():
        for index, derivation in enumerate(license_.derived):
            for position, id_ in enumerate(derivation.licenses):
                if id_ not in found:
                    at = ("derived", index, "licenses", position)
                    problems.append(
                        document.problem(at, f"unknown license '{id_}'", "the id of a pack", near=nearest(id_, found))
                    )
    return problems
