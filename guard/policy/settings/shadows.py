"""What only records while everything else is enforced."""

from datetime import date
from typing import Literal, Self

from pydantic import Field, model_validator

from guard.policy.settings.section import Section
from guard.policy.values import CategoryCode


class ShadowConfig(Section):
    """One rule, category or check that decides as always, only records, and refuses nothing."""

    example = "{rule: S9.example, owner: safety@example.org, expires: 2027-06-30, reason: being tried out}"

    rule: str | None = Field(default=None, min_length=1, description="Id of a screening rule.")
    category: CategoryCode | None = Field(default=None, description="Category code (S1-S14, HR, D1): all its rules.")
    check: (
        Literal[
            "identity_required", "license_terms", "usage_threshold", "territory", "aup", "output_use", "field_denied"
        ]
        | None
    ) = Field(default=None, description="Error code of a check, such as `usage_threshold`.")
    owner: str = Field(min_length=1, description="Who answers for it.")
    expires: date = Field(description="Last day on which it holds (YYYY-MM-DD); after it the rule is enforced again.")
    reason: str = Field(min_length=1, description="Why, for the record.")

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if sum(given is not None for given in (self.rule, self.category, self.check)) != 1:
            raise ValueError("exactly one of rule, category, check")
        return self

    @property
    def target(self) -> str:
        """What is shadowed, as a warning names it."""
        if self.rule is not None:
            return f"rule {self.rule}"
        return f"category {self.category}" if self.category is not None else f"check {self.check}"


class Shadows:
    """Those of ``entries`` that hold on the day ``today``, by what they are about."""

    def __init__(self, entries: tuple[ShadowConfig, ...], today: date) -> None:
        active = [entry for entry in entries if today <= entry.expires]
        self.rules = frozenset(entry.rule for entry in active if entry.rule is not None)
        self.categories = frozenset(entry.category for entry in active if entry.category is not None)
        self.checks = frozenset(entry.check for entry in active if entry.check is not None)
