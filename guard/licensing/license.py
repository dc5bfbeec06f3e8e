"""A license as data: every fact with its clause and how well it was confirmed."""

from dataclasses import dataclass, field
from enum import StrEnum

from guard.screening.findings import Action


class Status(StrEnum):
    """How a fact was established. ``unconfirmed`` warns when it is used."""

    CONFIRMED = "confirmed"
    COPY = "copy"
    EXCERPT = "excerpt"
    UNCONFIRMED = "unconfirmed"


class Window(StrEnum):
    """When a threshold is tested."""

    RELEASE_SNAPSHOT = "release_snapshot"
    """Once: the calendar month before the version's release (Llama clause 2, Hunyuan 4, DBRX 3)."""
    STANDING = "standing"
    """A present-tense condition that may start or stop at any time (Qwen 4, Kimi K2)."""
    MONTHLY = "monthly"
    ROLLING_12_MONTHS = "rolling_12_months"
    YEARLY = "yearly"
    AT_ANY_TIME = "at_any_time"


class OutputRule(StrEnum):
    """What a license says about training other models on outputs."""

    UNRESTRICTED = "unrestricted"
    NO_TRAINING_OTHER_LLM = "no_training_other_llm_except_family"
    NO_TRAINING_OTHER_MODEL = "no_training_other_model_except_family"
    NO_TRAINING_FOUNDATION_MODELS = "no_training_foundation_models_except_family"
    NAME_PREFIX_AND_DISPLAY = "allowed_with_name_prefix_and_display"
    ATTRIBUTION = "allowed_with_attribution"
    TRAINED_MODEL_INHERITS = "allowed_trained_model_inherits"
    NAME_PREFIX_MATERIALS_ONLY = "name_prefix_for_materials_only"
    PURPOSE_LIMITED = "purpose_limited_outputs"
    PURPOSE_LIMITED_BY_AUP = "purpose_limited_by_aup"
    CHAIN = "chain"
    UNDETERMINED = "undetermined"
    """No text that was read settles it: every verdict on training is undetermined."""

    @property
    def forbids_training(self) -> bool:
        """True where outputs must not improve models outside the family."""
        return self in NO_TRAINING


NO_TRAINING = frozenset(
    {OutputRule.NO_TRAINING_OTHER_LLM, OutputRule.NO_TRAINING_OTHER_MODEL, OutputRule.NO_TRAINING_FOUNDATION_MODELS}
)


USERS = frozenset({"monthly_active_users", "daily_active_users"})
"""Metrics that count people; every other one is an amount of money."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A number above (or from) which a license changes what the licensee may do."""

    id: str
    metric: str
    """``monthly_active_users``, ``daily_active_users``, or a revenue metric."""
    value: int | None
    unit: str | None
    comparator: str
    """``greater_than`` (the value itself passes) or ``must_be_less_than``."""
    window: Window
    reference_month: str | None
    scope: str
    counted_entities: str
    consequence: str
    """``no_rights``, ``display_duty``, ``termination``, ``separate_agreement`` or ``royalty``."""
    consequence_text: str
    clause: str
    status: Status
    exempt: str = ""
    """Who the threshold does not bind."""
    products: str = ""
    """Of a threshold on users, whose count: those of ``all`` the licensee's products, of the products ``with_model``
    taken together, or of ``each`` of these by itself."""
    affiliates: str = ""
    """Of a threshold on users: ``included``, ``excluded``, or ``unmentioned``."""

    @property
    def counts_users(self) -> bool:
        """True where the quantity is active users, of a month or a day: what a gateway can count."""
        return self.metric in USERS and self.value is not None

    @property
    def monthly(self) -> bool:
        """True where it is users of a month."""
        return self.metric == "monthly_active_users"

    @property
    def attested(self) -> bool:
        """True where the users of one past month decide, which somebody has to state."""
        return self.counts_users and self.window is Window.RELEASE_SNAPSHOT

    @property
    def allowed(self) -> int:
        """The largest number that passes."""
        return (self.value or 0) - (self.comparator == "must_be_less_than")


@dataclass(frozen=True, slots=True)
class OutputUse:
    """The output-use rule and what it excepts."""

    rule: OutputRule
    scope: str = ""
    exception: str = ""
    detail: str = ""
    clause: str = ""
    status: Status = Status.CONFIRMED


DUTY_KINDS = frozenset(
    {
        "display",
        "notice_file",
        "license_copy",
        "name_prefix",
        "disclosure",
        "flow_down",
        "inherit_terms",
        "use_limit",
        "permission",
    }
)
"""``permission``: something to be had or done before use (a registration, a written license, a one-time notice)."""
PLACES = frozenset({"website", "user_interface", "blog_post", "about_page", "documentation", "public_statement"})
OCCASIONS = frozenset({"serving", "distribution", "training"})


@dataclass(frozen=True, slots=True)
class Duty:
    """Something owed: a display line, a notice file, a name prefix, a disclosure, a flow-down term."""

    kind: str
    """One of ``DUTY_KINDS``."""
    text: str
    trigger: str
    clause: str
    status: Status = Status.CONFIRMED
    owed_for: tuple[str, ...] = ("serving",)
    """Some of ``OCCASIONS``: serving the model, distributing copies of it, training a model on its outputs."""
    wording: str = ""
    """The exact words to be shown or to begin a name with, where the license gives them: ``Built with Llama``."""
    places: tuple[str, ...] = ()
    """Some of ``PLACES``: any one of them will do. Empty: the license names none."""


@dataclass(frozen=True, slots=True)
class Territory:
    """Where a license gives no rights. The two kinds want different tools."""

    kind: str
    """``licensee_domicile`` (operator attests), ``place_of_use`` (requests are located), ``sanctions`` or
    ``export_law`` (law applies; nothing a request shows)."""
    excluded: tuple[str, ...]
    """EU, or ISO 3166 codes."""
    applies_to: str
    clause: str
    status: Status = Status.CONFIRMED
    models: tuple[str, ...] = ()
    """Patterns as in ``License.models`` that it is limited to (Llama 3.2: the multimodal ones). Empty: all."""


@dataclass(frozen=True, slots=True)
class LicenseFile:
    """The identity of a license text: where it stands, and digests that a copy beside the weights is compared with."""

    where: str
    """Repository or publication, as a person finds it: ``meta-llama/llama-models, models/llama3_1/LICENSE``."""
    status: Status
    """How the digested text was had: ``confirmed`` from the licensor's own file, ``copy`` from a faithful copy."""
    revision: str = ""
    sha256: str = ""
    """Hex digest of the file's bytes; empty if they were not to be had."""
    words_sha256: str = ""
    """Hex digest of its words (``guard.licensing.text.words_digest``), which survives line breaks and typography."""


@dataclass(frozen=True, slots=True)
class Question:
    """Something the license leaves open, and how it may be read. The reading in use is part of every report."""

    id: str
    """``active_user``: the only one that changes what Guard does."""
    asks: str
    readings: tuple[tuple[str, str], ...]
    """(name, what it means). For ``active_user``: ``identities`` (every identity that was answered) and ``people``
    (an application's shared credential is no user)."""
    default: str
    clause: str


@dataclass(frozen=True, slots=True)
class Openness:
    """The class of the Model Openness Framework 1.0: information, never an input to a decision."""

    mof_class: str
    """``I``, ``II``, ``III`` or ``none``."""
    basis: str
    status: Status


@dataclass(frozen=True, slots=True)
class AupItem:
    """One item of an acceptable use policy, mapped to categories with this license's own action."""

    id: str
    paraphrase: str
    clause: str
    categories: tuple[str, ...]
    """Empty when no text shows the item: then ``duty`` says what stands in."""
    coverage: str
    """``full``, ``partial`` or ``none``: how much of the item the categories see."""
    decidable: str
    action: Action
    duty: str = ""
    otherwise: tuple[tuple[str, Action], ...] = ()
    """Categories of the item that are treated otherwise than ``action``, because they see much that is not banned."""

    def action_for(self, category: str) -> Action:
        """Return what this license does about ``category`` because of this item."""
        return dict(self.otherwise).get(category, self.action)


@dataclass(frozen=True, slots=True)
class Derivation:
    """Models made from several licensors' weights: they are under every license named here."""

    models: tuple[str, ...]
    """Patterns as in ``License.models``."""
    licenses: tuple[str, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class License:
    """One license text."""

    id: str
    name: str
    date: str
    status: Status
    family: str
    """The lineage that output-use exceptions speak of (``llama``, ``qwen``, ``hunyuan``)."""
    version: str
    """Family and version as exception clauses mean it (``llama-2``); the family itself where versions do not matter."""
    models: tuple[str, ...] = ()
    """Patterns (shell style, case-insensitive) of repository names that ship under this license; ``name@revision``
    fits that revision (a pattern too) only, and beats one without."""
    derived: tuple[Derivation, ...] = ()
    aliases: tuple[str, ...] = ()
    commercial: str = "allowed"
    """``allowed``, ``conditional`` or ``prohibited``."""
    commercial_text: str = ""
    commercial_clause: str = ""
    hosting: str = "allowed"
    """``allowed``, ``distribution`` (hosting counts as distribution: the terms flow down to whoever uses it),
    ``separate_permission``, ``revenue_gate`` (an agreement above a revenue), or ``prohibited``."""
    hosting_text: str = ""
    hosting_clause: str = ""
    thresholds: tuple[Threshold, ...] = ()
    output_use: OutputUse = field(default_factory=lambda: OutputUse(OutputRule.UNRESTRICTED))
    duties: tuple[Duty, ...] = ()
    territory: Territory | None = None
    aup: tuple[AupItem, ...] = ()
    aup_text: str = ""
    """Where the acceptable use policy stands, and whether it may change. Empty: there is none, or it was not read."""
    aup_status: Status = Status.CONFIRMED
    files: tuple[LicenseFile, ...] = ()
    questions: tuple[Question, ...] = ()
    openness: Openness | None = None
    sources: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
