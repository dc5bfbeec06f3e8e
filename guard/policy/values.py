"""The small values of a configuration: what is allowed is said in the error, what comes out is normal."""

import re
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, PlainValidator
from pydantic_core import PydanticCustomError

from guard.exchange.snapshot import FieldAction
from guard.licensing.capability import CAPABILITIES
from guard.licensing.place import country
from guard.licensing.purpose import Purpose as PurposeText
from guard.provenance.upload import unknown_placeholders
from guard.screening.categories import CATEGORIES
from guard.screening.findings import Action
from guard.usage.address import ALLOWED_URL, LedgerUrlError, parse_url

_PORT = re.compile(r"^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]*):(\d{1,5})$")


class FieldSetting(NamedTuple):
    """What the operator wants done about a capability."""

    action: FieldAction
    limit: int | None = None

    @property
    def written(self) -> str | dict[str, int | None]:
        """As a file says it."""
        return self.action.value if self.limit is None else {self.action.value: self.limit}

    def __str__(self) -> str:
        return self.action.value if self.limit is None else f"{self.action.value} to {self.limit}"


def _url(value: Any) -> str:
    if isinstance(value, str) and re.match(r"^(https?://[^/\s]+(/\S*)?|unix:///\S+)$", value):
        return value
    raise ValueError("http://HOST[:PORT], https://HOST[:PORT] or unix:///path.sock")


def _is_host_port(value: str) -> bool:
    match = _PORT.match(value)
    return match is not None and int(match[1]) < 65536


def _key_set_url(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"https?://[^/?#@\s]+(/[^#\s]*)?", value):
        with suppress(ValueError):  # a port that is no number
            parts = urlsplit(value)
            if parts.port != 0 and parts.hostname and (parts.scheme == "https" or _is_loopback(parts.hostname)):
                return value
    raise ValueError("https://HOST/PATH without a user name, or http:// with a loopback address")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _address(value: Any) -> str:
    if isinstance(value, str) and (value.startswith("unix:///") or _is_host_port(value)):
        return value
    raise ValueError("HOST:PORT or unix:///path.sock")


def _admin(value: Any) -> str:
    if value == "off":
        return "off"
    if isinstance(value, str) and _is_host_port(value):
        return value
    raise ValueError("HOST:PORT or off")


def _ledger(value: Any) -> str:
    if isinstance(value, str):
        try:
            parse_url(value)
        except LedgerUrlError as error:  # it says what is wrong, and shows no password
            found = error.found.encode(errors="replace").decode()  # bytes of a command line that are no UTF-8
            raise PydanticCustomError("found", "{allowed}", {"found": found, "allowed": error.allowed}) from None
        return value
    raise ValueError(ALLOWED_URL)


def _license_ids(value: Any) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if isinstance(names, (list, tuple)) and names and all(isinstance(name, str) and name for name in names):
        return tuple(names)
    raise ValueError("a license id or a list of license ids")


def _names(value: Any) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if isinstance(names, (list, tuple)) and all(isinstance(name, str) and name for name in names):
        return tuple(names)
    raise ValueError("a name or a list of names")


def _action(value: Any) -> Action:
    try:
        action = value if isinstance(value, Action) else Action.parse(value)
    except (KeyError, AttributeError):
        raise ValueError("block, flag, log or off") from None
    if action is Action.MASK:
        raise ValueError("block, flag, log or off; what to mask only a rule can say (`action: mask` in its file)")
    return action


def _category(value: Any) -> str:
    if isinstance(value, str) and value in CATEGORIES:
        return value
    raise ValueError(", ".join(CATEGORIES))


def _capability(value: Any) -> str:
    if isinstance(value, str) and value in CAPABILITIES:
        return value
    raise ValueError(", ".join(CAPABILITIES))


def _field_setting(value: Any) -> FieldSetting:
    if isinstance(value, FieldSetting):
        return value
    if isinstance(value, str) and value in {"allow", "deny", "strip"}:
        return FieldSetting(FieldAction(value))
    if isinstance(value, Mapping) and set(value) == {"clamp"}:
        limit = value["clamp"]
        if isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0:
            return FieldSetting(FieldAction.CLAMP, limit)
    raise ValueError("allow, deny, strip or {clamp: N}")


def _network(value: Any) -> str:
    try:
        return str(ip_network(value if isinstance(value, str) else ""))  # a number would be an address, too
    except ValueError:
        raise ValueError("a network such as 10.0.0.0/8 or fd00::/8, without host bits") from None


def _purpose(value: Any) -> str:
    try:
        return str(PurposeText.parse(value if isinstance(value, str) else ""))
    except (ValueError, AttributeError):
        raise ValueError("serve, evaluate, train:TARGET, synthetic-data:TARGET or unknown") from None


def _digest(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"[0-9a-fA-F]{64}", value):
        return value.lower()
    raise PydanticCustomError("secret", "64 hexadecimal digits, the SHA-256 of the key")  # it may be the key itself


def header_name(value: Any) -> str:
    """Return ``value`` in lower case. Raises ValueError for what is no HTTP header name (RFC 9110, 5.1)."""
    if isinstance(value, str) and re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", value):
        return value.lower()
    raise ValueError("an HTTP header name")


def _country(value: Any) -> str:
    found = country(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("the two letters of a country in ISO 3166, such as DE, US or KR")
    return found


Url = Annotated[str, PlainValidator(_url)]
Address = Annotated[str, PlainValidator(_address)]
AdminAddress = Annotated[str, PlainValidator(_admin)]
KeySetUrl = Annotated[str, PlainValidator(_key_set_url)]
LedgerUrl = Annotated[str, PlainValidator(_ledger)]


def _upload(value: Any) -> Any:
    # What is shown of it is a placeholder, never an argument: those may be secret.
    if not isinstance(value, list | tuple) or not all(isinstance(argument, str) and argument for argument in value):
        raise PydanticCustomError("secret", "a list of texts in quotes: a command and its arguments, with '{file}'")
    allowed = "{file}, {month} and {name}; {{ and }} for braces"
    for argument in value:
        try:
            unknown = unknown_placeholders(argument)
        except ValueError:
            raise PydanticCustomError("secret", "{allowed}", {"allowed": allowed}) from None
        if unknown:
            raise PydanticCustomError("found", "{allowed}", {"found": unknown[0], "allowed": allowed})
    return tuple(value)


UploadCommand = Annotated[tuple[str, ...], BeforeValidator(_upload)]
"""A command with placeholders for the segment that is to be copied."""

LicenseIds = Annotated[tuple[str, ...], BeforeValidator(_license_ids)]
Country = Annotated[str, PlainValidator(_country)]
Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
CategoryCode = Annotated[str, PlainValidator(_category)]
CapabilityName = Annotated[str, PlainValidator(_capability)]
ActionName = Annotated[Action, PlainValidator(_action)]
FieldChoice = Annotated[FieldSetting, PlainValidator(_field_setting)]
Network = Annotated[str, PlainValidator(_network)]
Purpose = Annotated[str, PlainValidator(_purpose)]
KeyDigest = Annotated[str, PlainValidator(_digest)]
HeaderName = Annotated[str, PlainValidator(header_name)]
Seconds = Annotated[float, Field(gt=0)]
