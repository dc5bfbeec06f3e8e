"""Headers in which a trusted hop says who the user is, and how the user is found in them."""

import json
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

MAX_METADATA = 4096
"""Characters of a header that holds a JSON object; what is longer names nobody."""


@dataclass(frozen=True, slots=True)
class TrustedHeader:
    """One header, who may write it, and what its value is."""

    name: bytes
    """Lower-case."""
    networks: tuple[IPv4Network | IPv6Network, ...]
    """Peers that are believed; from anybody else the header says nothing and is not forwarded."""
    namespace: str = ""
    """Equal users of two namespaces are two users."""
    member: str | None = None
    """The member of a JSON object that names the user (``_user`` in ``x-portkey-metadata``); None: the value itself."""

    def subject(self, value: str) -> str | None:
        """Return the user that the header's ``value`` names, or None."""
        if self.member is None:
            return value
        if len(value) > MAX_METADATA:
            return None
        try:
            document = json.loads(value)
        except (ValueError, RecursionError):
            return None
        found = document.get(self.member) if isinstance(document, dict) else None
        return found if isinstance(found, str) else None
