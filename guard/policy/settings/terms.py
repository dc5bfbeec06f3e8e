"""Terms that somebody accepted."""

from datetime import date

from pydantic import Field

from guard.policy.settings.section import Section


class TermsConfig(Section):
    """An acceptance of a license's terms, for the record."""

    example = '{license: gemma, accepted: 2026-05-01, by: legal@example.org, document: "order 17"}'

    license: str = Field(
        min_length=1, description="License id; one whose terms flow down to whoever uses a hosted model."
    )
    accepted: date = Field(description="Day of the acceptance (YYYY-MM-DD).")
    by: str = Field(min_length=1, description="Who accepted.")
    document: str = Field(min_length=1, description="Where the acceptance is written down.")
