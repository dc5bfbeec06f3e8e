"""The form of a case file: what a policy must answer to one request, written by whoever reads the license.

::

    license: qwen-2024              # a license id or a stack of them; or a configuration: config: ../guard.yaml
    model: acme/assistant           # served name; the configuration's own model where it has only one
    cases:
      - name: a newcomer beyond the limit is refused where the operator says so
        settings: {usage: {at_limit: refuse_newcomers}}
        users: 100000000
        expect: {verdict: deny, code: usage_threshold, clause: "4"}
"""

from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, model_validator

from guard.exchange.record import Verdict
from guard.exchange.refusal import Code
from guard.policy.rehearsal.hypothetical import PROMPT
from guard.policy.values import CategoryCode, Country, LicenseIds, Purpose
from guard.usage.thresholds import State


class _Part(BaseModel):
    """Strict and immutable: an unknown name is a mistake, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def moment(value: Any) -> datetime:
    """Return the time that ``value`` (a date or time, or text in ISO 8601) means, in UTC where it names no zone.

    Raises ValueError for anything else.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = None
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    raise ValueError("a time such as 2026-06-01T12:00:00Z, or a date")


def _clause(value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise ValueError('the clause as text, in quotes: "1.b.v"')


Moment = Annotated[datetime, PlainValidator(moment)]
Text = Annotated[str, Field(min_length=1)]


class RequestPart(_Part):
    """What is sent; by default a harmless prompt to ``/v1/chat/completions``."""

    method: Literal["POST", "GET", "PUT", "DELETE", "PATCH"] = "POST"
    path: Annotated[str, Field(pattern="^/")] = "/v1/chat/completions"
    text: str = PROMPT
    body: dict[str, Any] | None = None
    headers: dict[str, str] = {}

    @model_validator(mode="after")
    def _said_once(self) -> Self:
        if self.body is not None and "text" in self.model_fields_set:
            raise ValueError("text or body: text is short for a body with one message")
        return self


class IdentityPart(_Part):
    """Who sends it."""

    user: str | None = "u1"
    source: Literal["mtls", "jwt", "trusted_header", "api_key", "body"] = "body"
    tenant: str | None = None
    purpose: Purpose | None = None
    country: Country | None = None
    claims: dict[str, Any] = {}

    @model_validator(mode="after")
    def _claimed(self) -> Self:
        if self.claims and self.source != "jwt":
            raise ValueError("claims with source jwt: nothing else carries any")
        return self


class ThresholdPart(_Part):
    """The state that the users counted so far put a threshold in."""

    id: Text
    state: State


class ExpectPart(_Part):
    """What the policy must answer. What is not stated is not compared."""

    verdict: Verdict
    code: Code | None = None
    license: Text | None = None
    clause: Annotated[str, PlainValidator(_clause)] | None = None
    category: CategoryCode | None = None
    obligations: tuple[Text, ...] = ()
    threshold: ThresholdPart | None = None


class Case(_Part):
    """One request and the answer it must get."""

    name: Text
    request: RequestPart = RequestPart()
    identity: IdentityPart = IdentityPart()
    settings: dict[str, Any] = {}
    at: Moment | None = None
    users: Annotated[int, Field(ge=0)] = 0
    known: bool = False
    answer: str | None = None
    expect: ExpectPart


class CaseFile(_Part):
    """The cases of one license, stack or configuration."""

    license: LicenseIds | None = None
    config: Text | None = None
    model: Text | None = None
    cases: tuple[Case, ...]

    @model_validator(mode="after")
    def _one_policy(self) -> Self:
        if (self.license is None) == (self.config is None):
            raise ValueError("exactly one of license, config")
        return self
