"""The configuration file ``guard.yaml``, typed. Every field has a safe default; ``upstream`` and ``models`` matter.

Relative paths of files that Guard reads are relative to the configuration file; what Guard writes (``state_dir``) is
relative to the working directory.
"""

from typing import Literal

from pydantic import Field

from guard.policy.settings.confirm import Confirmation
from guard.policy.settings.drain import DrainConfig
from guard.policy.settings.evidence import EvidenceConfig
from guard.policy.settings.identity import IdentityConfig
from guard.policy.settings.models import ModelConfig
from guard.policy.settings.notices import NoticesConfig
from guard.policy.settings.observability import ObservabilityConfig
from guard.policy.settings.operator import OperatorConfig
from guard.policy.settings.outputs import OutputsConfig
from guard.policy.settings.screening import ScreeningConfig
from guard.policy.settings.section import Section
from guard.policy.settings.shadows import ShadowConfig
from guard.policy.settings.surface import SurfaceConfig
from guard.policy.settings.tenants import TenantConfig
from guard.policy.settings.territory import TerritoryConfig
from guard.policy.settings.upstream import Timeouts
from guard.policy.settings.usage import UsageConfig
from guard.policy.values import Address, AdminAddress, LicenseIds, Url


class Config(Section):
    """guard.yaml."""

    example = '{upstream: "http://127.0.0.1:8000", license: llama-3.1}'

    upstream: Url = Field(
        default="http://127.0.0.1:8000", description="Inference server: `http://`, `https://` or `unix:///path`."
    )
    upstream_timeouts: Timeouts = Field(default=Timeouts(), description="Time limits to the inference server.")
    upstream_ca: str | None = Field(
        default=None, description="PEM file with the authorities of an `https://` upstream."
    )
    upstream_connections: int = Field(
        default=256,
        gt=0,
        description="Most connections to the inference server at a time; several `workers` divide them.",
    )
    listen: Address = Field(
        default="127.0.0.1:8080", description="Where clients connect: `HOST:PORT` or `unix:///path`."
    )
    admin: AdminAddress = Field(
        default="127.0.0.1:9090", description="Metrics, health, reload, API and console: `HOST:PORT`, or `off`."
    )
    admin_token_file: str | None = Field(
        default=None,
        description="File with the bearer token of the admin port; required when it listens beyond loopback.",
    )
    workers: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Processes of `guard serve` that share the client port, the ledger and the state directory: one "
        "for each core it may use.",
    )
    mode: Literal["enforce", "shadow"] = Field(
        default="enforce", description="`enforce` refuses; `shadow` only records."
    )
    state_dir: str = Field(
        default="./guard-state", description="Keys, spool, ledger, audit log and fingerprints live here."
    )
    policies: tuple[str, ...] = Field(
        default=(), examples=["[my-licenses]"], description="Directories with license packs of your own."
    )
    tests: tuple[str, ...] = Field(
        default=(),
        examples=["[my-cases]"],
        description="Case files, or directories of them, that `guard policy test` runs beside the shipped ones.",
    )
    models: dict[str, ModelConfig] = Field(
        default_factory=dict, examples=["{tiny: {license: llama-3.1}}"], description="Served models by name."
    )
    license: LicenseIds | None = Field(
        default=None, description="License (or stack of licenses) of every model that is not listed under `models`."
    )
    unknown_models: Literal["refuse", "undetermined"] = Field(
        default="refuse",
        description="Models neither listed nor under `license`: refuse them, or serve them with license undetermined.",
    )
    default_model: str | None = Field(
        default=None,
        description="Model a request without a model name means. Default: the only one, if there is only one.",
    )
    operator: OperatorConfig = Field(
        default=OperatorConfig(), description="Who serves the models, and what is stated toward their licenses."
    )
    territory: TerritoryConfig = Field(default=TerritoryConfig(), description="Where requests come from.")
    notices: NoticesConfig = Field(default=NoticesConfig(), description="What is shown with every answer.")
    identity: IdentityConfig = Field(default=IdentityConfig(), description="Who is counted.")
    usage: UsageConfig = Field(default=UsageConfig(), description="Counting monthly active users.")
    screening: ScreeningConfig = Field(default=ScreeningConfig(), description="Screening prompts and outputs.")
    outputs: OutputsConfig = Field(default=OutputsConfig(), description="Detail and provenance of outputs.")
    surface: SurfaceConfig = Field(default=SurfaceConfig(), description="Open surfaces and sizes.")
    shadows: tuple[ShadowConfig, ...] = Field(
        default=(), description="Rules, categories and checks that only record, until a day."
    )
    candidate: str | None = Field(
        default=None,
        description="Another configuration, under which every finished exchange is decided again; nothing is enforced "
        "by it.",
    )
    evidence: EvidenceConfig = Field(default=EvidenceConfig(), description="What is kept as evidence.")
    observability: ObservabilityConfig = Field(default=ObservabilityConfig(), description="Log and traces.")
    drain: DrainConfig = Field(default=DrainConfig(), description="How `guard serve` ends after SIGTERM.")
    tenants: dict[str, TenantConfig] = Field(
        default_factory=dict,
        examples=["{acme: {match: {keys: [desk]}, actions: {HR: block}}}"],
        description="Overlays for some callers, by name. They tighten only; of several that match, the first applies.",
    )
    confirm: tuple[Confirmation, ...] = Field(
        default=(),
        examples=["['mode: enforce -> shadow']"],
        description="Dangerous changes that somebody means, each as the exact line by which it was refused.",
    )
