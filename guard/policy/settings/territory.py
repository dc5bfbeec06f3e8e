"""Where requests come from."""

from typing import Literal

from pydantic import Field

from guard.policy.settings.section import Section
from guard.policy.values import HeaderName


class TerritoryConfig(Section):
    """Where requests come from."""

    example = "{country_headers: [cf-ipcountry]}"

    country_headers: tuple[HeaderName, ...] = Field(
        default=(),
        examples=["[cf-ipcountry]"],
        description="Headers in which the proxy in front writes the country of a request (ISO 3166), in order. "
        "Believed only from `identity.trusted_from`.",
    )
    unknown: Literal["deny", "allow"] = Field(
        default="deny",
        description="Requests without a known country, for a model whose license excludes places: `deny`, or `allow` "
        "and record that they were not evaluated. Without `country_headers` nothing can be told, and that is recorded.",
    )
