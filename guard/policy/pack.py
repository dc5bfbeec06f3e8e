"""The schema of a license pack: every fact typed, with its clause and how it was established."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, model_validator

from guard.licensing.license import (
    AupItem,
    Derivation,
    Duty,
    License,
    LicenseFile,
    Openness,
    OutputRule,
    OutputUse,
    Question,
    Status,
    Territory,
    Threshold,
    Window,
)
from guard.licensing.place import country
from guard.policy.values import ActionName, CategoryCode
from guard.screening.findings import Action


class Part(BaseModel):
    """Strict and immutable: an unknown name is a mistake, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _clause(value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise ValueError('the clause as text, in quotes: "1.b.i"')


def _date(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?", value):
        return value
    raise ValueError('the date as text, in quotes: "2024-07-23", "2024-07" or "2024"')


def _place(value: Any) -> str:
    code = country(value) if isinstance(value, str) and value.isupper() else None
    if code is None:
        raise ValueError("EU, or the two capitals of a country in ISO 3166 such as GB")
    return code


Clause = Annotated[str, PlainValidator(_clause)]
Day = Annotated[str, PlainValidator(_date)]
Place = Annotated[str, PlainValidator(_place)]
Text = Annotated[str, Field(min_length=1)]
Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


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
    products: Literal["all", "with_model", "each"] | None = None
    affiliates: Literal["included", "unmentioned", "excluded"] | None = None
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
            self.counted, self.consequence, self.effect, self.clause, self.status, self.exempt, self.products or "",
            self.affiliates or "",
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
        "display",
        "notice_file",
        "license_copy",
        "name_prefix",
        "disclosure",
        "flow_down",
        "inherit_terms",
        "use_limit",
        "permission",
    ]
    text: Text
    wording: str = ""
    places: tuple[
        Literal["website", "user_interface", "blog_post", "about_page", "documentation", "public_statement"], ...
    ] = ()
    trigger: Text
    owed_for: Annotated[tuple[Literal["serving", "distribution", "training"], ...], Field(min_length=1)]
    clause: Clause
    status: Status

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.wording.isprintable():
            raise ValueError("wording: one line")
        if self.kind == "display" and not self.wording.isascii():
            raise ValueError("wording: printable ASCII, because it may travel in a header")
        if self.kind == "name_prefix" and not self.wording:
            raise ValueError("wording: what the name begins with")
        return self

    def core(self) -> Duty:
        """Return the duty as the core knows it."""
        return Duty(self.kind, self.text, self.trigger, self.clause, self.status, self.owed_for, self.wording,
                    self.places)  # fmt: skip


class TerritoryPart(Part):
    """Where there are no rights, or what law is named."""

    kind: Literal["licensee_domicile", "place_of_use", "sanctions", "export_law"]
    excluded: tuple[Place, ...] = ()
    applies_to: Text
    models: tuple[Text, ...] = ()
    clause: Clause
    status: Status

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind in {"licensee_domicile", "place_of_use"} and not self.excluded:
            raise ValueError(f"excluded: {self.kind} says which places")
        return self

    def core(self) -> Territory:
        """Return the territory as the core knows it."""
        return Territory(self.kind, self.excluded, self.applies_to, self.clause, self.status, self.models)


class FilePart(Part):
    """The identity of the license text."""

    where: Text
    revision: str = ""
    sha256: Digest | None = None
    words_sha256: Digest | None = None
    status: Status

    @model_validator(mode="after")
    def _digested(self) -> Self:
        if self.sha256 is None and self.words_sha256 is None:
            raise ValueError("at least one of sha256, words_sha256")
        return self

    def core(self) -> LicenseFile:
        """Return the file as the core knows it."""
        return LicenseFile(self.where, self.status, self.revision, self.sha256 or "", self.words_sha256 or "")


class QuestionPart(Part):
    """Something the license leaves open."""

    id: Annotated[str, Field(pattern="^[a-z_]+$")]
    asks: Text
    readings: dict[str, Text]
    default: Text
    clause: Clause

    @model_validator(mode="after")
    def _answered(self) -> Self:
        if self.default not in self.readings:
            raise ValueError(f"default as one of readings: {', '.join(self.readings)}")
        if self.id == "active_user" and set(self.readings) != {"identities", "people"}:
            raise ValueError("readings identities and people, the two ways Guard can count")
        return self

    def core(self) -> Question:
        """Return the question as the core knows it."""
        return Question(self.id, self.asks, tuple(self.readings.items()), self.default, self.clause)


class OpennessPart(Part):
    """The class of the Model Openness Framework, for information."""

    mof_class: Literal["I", "II", "III", "none"]
    basis: Text
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
        if self.categories and "action" not in self.model_fields_set:
            raise ValueError("action: what is done about the categories, block, flag, log or off")
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

    rule: str
    text: str = ""
    clause: str = ""

    @model_validator(mode="after")
    def _cited(self) -> Self:
        if self.rule != "allowed" and not (self.text and self.clause):
            raise ValueError("text and clause: every rule but allowed says what it is and cites one")
        return self


class CommercialPart(TermsPart):
    """Whether commercial use is allowed."""

    rule: Literal["allowed", "conditional", "prohibited"] = "allowed"


class HostingPart(TermsPart):
    """Whether others may be served."""

    rule: Literal["allowed", "distribution", "separate_permission", "revenue_gate", "prohibited"] = "allowed"


class Pack(Part):
    """One license text."""

    id: Id
    name: Text
    date: Day
    status: Status
    family: Id
    version: Id
    sources: Annotated[tuple[Text, ...], Field(min_length=1)]
    files: tuple[FilePart, ...] = ()
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
    open_questions: tuple[QuestionPart, ...] = ()
    openness: OpennessPart | None = None
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
            duties=tuple(part.core() for part in self.duties),
            territory=self.territory.core() if self.territory else None,
            aup=tuple(_item(part) for part in aup.items) if aup else (),
            aup_text=aup.text if aup else "",
            aup_status=aup.status if aup else self.status,
            files=tuple(part.core() for part in self.files),
            questions=tuple(part.core() for part in self.open_questions),
            openness=Openness(*self.openness.model_dump().values()) if self.openness else None,
            sources=self.sources,
            notes=self.notes,
        )


STAND_INS: Mapping[str, Any] = MappingProxyType(
    {
        "id": "unnamed",
        "name": "?",
        "date": "9999",
        "status": "confirmed",
        "family": "unknown",
        "version": "unknown",
        "sources": ["?"],
        "output_use": {"rule": "unrestricted", "status": "confirmed"},
    }
)
"""What stands in a pack for a required value that is mistaken, so that the rest of it is checked. Never in use."""


def _item(part: ItemPart) -> AupItem:
    return AupItem(
        part.id, part.means, part.clause, part.categories, part.coverage, part.decidable, part.action, part.duty,
        tuple(part.otherwise.items()),
    )  # fmt: skip
