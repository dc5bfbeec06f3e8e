"""What only the operator knows."""

from datetime import date
from typing import Literal

from pydantic import Field

from guard.policy.settings.section import Section
from guard.policy.values import Country


class StatementConfig(Section):
    """What the operator states toward a license, for the record."""

    example = "{license: falcon-180b, about: hosting, says: order 7, owner: legal@example.org, expires: 2027-06-30}"

    license: str = Field(min_length=1, description="License id.")
    about: Literal["commercial", "hosting", "permission", "threshold", "territory"] = Field(
        description="What it answers: `commercial` use, `hosting` for others, a `permission` or registration to be had "
        "first, a `threshold` that no gateway sees (revenue), or `territory`."
    )
    says: str = Field(min_length=1, description="The statement, and where its document is.")
    owner: str = Field(min_length=1, description="Who answers for it.")
    expires: date = Field(description="Last day on which it holds (YYYY-MM-DD): revenues and permissions change.")


class OperatorConfig(Section):
    """Who serves the models, and what is stated toward their licenses."""

    example = "{domicile: CH}"

    name: str | None = Field(
        default=None,
        min_length=1,
        examples=["Example GmbH"],
        description="Name of the licensee. An attestation counts only if it is about the users of this one; without "
        "it, about anybody's.",
    )
    domicile: Country | None = Field(
        default=None,
        description="ISO 3166 code of the country the licensee is domiciled in. Some licenses give no rights to "
        "licensees in the EU.",
    )
    statements: tuple[StatementConfig, ...] = Field(
        default=(), description="What is stated toward licenses that want more than a gateway can see."
    )
    unstated: Literal["warn", "refuse"] = Field(
        default="warn",
        description="Where a license wants a statement and there is none: `warn` at every load, or `refuse` the "
        "requests for its models.",
    )
