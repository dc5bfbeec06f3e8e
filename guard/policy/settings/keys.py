"""The file of API keys that ``guard keys`` keeps: what is known of each, and never the key."""

from datetime import date
from typing import Annotated, Any

from pydantic import Field, PlainValidator
from pydantic_core import PydanticCustomError

from guard.exchange.credential import SALT_BYTES
from guard.policy.settings.section import Section
from guard.policy.settings.terms import TermsConfig
from guard.policy.values import CapabilityName, FieldChoice, Purpose


def _hex(length: int) -> PlainValidator:
    def read(value: Any) -> bytes:
        try:
            found = bytes.fromhex(value) if isinstance(value, str) else b""
        except ValueError:
            found = b""
        if len(found) != length:
            raise PydanticCustomError("secret", "{digits} hexadecimal digits in quotes", {"digits": 2 * length})
        return found

    return PlainValidator(read)


class StoredKeyConfig(Section):
    """One key that ``guard keys add`` made. All of a name are one application's: one is added, then another revoked."""

    example = "what guard keys add writes"

    id: str = Field(pattern="^[a-z2-7]{12}$", description="What the key is called in the key itself: `gk_ID_...`.")
    name: str = Field(min_length=1, description="Name of the application or tenant, as shown in reports.")
    purpose: Purpose = Field(default="unknown", description="Declared purpose of the answers.")
    user: str | None = Field(default=None, description="Set when the key belongs to one person.")
    created: date = Field(description="Day on which it was made, in UTC like all days here.")
    expires: date | None = Field(default=None, description="Last day on which it is good.")
    revoked: date | None = Field(default=None, description="Day on which it was revoked. It is refused from then on.")
    salt: Annotated[bytes, _hex(SALT_BYTES)] = Field(description="16 random bytes.")
    hash: Annotated[bytes, _hex(32)] = Field(description="BLAKE2b of the key under the salt.")
    fields: dict[CapabilityName, FieldChoice] = Field(
        default_factory=dict, description="Action by capability for this application."
    )
    terms: tuple[TermsConfig, ...] = Field(
        default=(), description="Terms of licenses that were accepted for this application."
    )

    def state(self, today: date) -> str:
        """Return ``active``, ``expired`` or ``revoked``, as it is on ``today``."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires < today else "active"


class KeysConfig(Section):
    """The whole file."""

    example = "{keys: []}"

    keys: tuple[StoredKeyConfig, ...] = Field(default=(), description="The keys, oldest first.")
