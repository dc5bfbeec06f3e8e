"""Where a request to the admin port comes from, by the headers that a page cannot write itself."""

from collections.abc import Iterable
from ipaddress import ip_address

Headers = Iterable[tuple[bytes, bytes]]

OWN_SITES = frozenset({None, b"none", b"same-origin"})
"""``Sec-Fetch-Site`` of a request that no other page caused."""


def only(headers: Headers, name: bytes) -> bytes | None:
    """Return the value of ``name``; several values of one name count as a wrong one."""
    found = [value for key, value in headers if key == name]
    return None if not found else found[0] if len(found) == 1 else b""


def names_loopback(headers: Headers) -> bool:
    """Return whether the request was addressed to loopback by name; a DNS name that resolves to it is not enough."""
    host = (only(headers, b"host") or b"").decode("latin-1")
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    if name.lower() == "localhost":
        return True
    try:
        return ip_address(name.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def own_page(headers: Headers) -> bool:
    """Return whether a request that changes something comes from a page of this port, or from no page at all.

    ``Sec-Fetch-Site`` is decisive where a browser sends it, which is over HTTPS and on loopback; elsewhere ``Origin``
    has to name the host that was asked. A hop that ends TLS may have changed the scheme, so that is not compared.
    """
    site, origin = only(headers, b"sec-fetch-site"), only(headers, b"origin")
    if site is not None:
        return site in OWN_SITES
    return origin is None or origin.partition(b"://")[2] == (only(headers, b"host") or b"-")


def read_by_own_page(headers: Headers) -> bool:
    """Return whether a request that reads is no other page's: one may lead here, but not fetch what it cannot see."""
    navigates = only(headers, b"sec-fetch-mode") == b"navigate"
    return navigates or only(headers, b"sec-fetch-site") in OWN_SITES


def over_https(headers: Headers) -> bool:
    """Return whether the page that sent a form came over HTTPS.

    The browser says so itself in ``Origin``: no hop has to be believed, and who lies about it hurts only themselves.
    """
    return (only(headers, b"origin") or b"").startswith(b"https://")


def port(headers: Headers) -> str:
    """Return the port in the address that was asked for; "" for the scheme's own."""
    found = (only(headers, b"host") or b"").rpartition(b":")[2].decode("latin-1")
    return found if found.isascii() and found.isdigit() else ""
