"""The admin port is loopback or has a token, and every address is one's own."""

from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from guard.policy.config import Config
from guard.policy.document import Document, Problem


def addresses(config: Config, document: Document) -> Iterator[Problem]:
    """Yield a problem for an admin port that anybody could reach, and for two ports that are one."""
    lost = document.misses(("admin",), ("admin_token_file",))
    if config.admin != "off" and not lost and not _is_loopback(config.admin) and config.admin_token_file is None:
        yield document.problem(
            ("admin",), f"'{config.admin}' is not loopback and has no token", "127.0.0.1:PORT, or admin_token_file"
        )
    if config.admin == config.listen and not document.misses(("admin",), ("listen",)):
        at, other = ("admin", "listen") if ("admin",) in document.lines else ("listen", "admin")
        yield document.problem((at,), f"'{config.admin}' is the address of {other} too", "an address of its own")
    for name, own in (("listen", config.listen), ("admin", config.admin)):
        if not document.misses(("upstream",), (name,)) and _reaches(config.upstream, own):
            stated = ("upstream",) in document.lines
            found = f"'{config.upstream}' is {name}" if stated else f"'{own}' is where upstream is, {config.upstream}"
            allowed = "where the inference server listens" if stated else "an address of its own"
            yield document.problem(("upstream" if stated else name,), f"{found}: Guard would call itself", allowed)
    encrypted = config.upstream.startswith("https://") or document.misses(("upstream",))
    if config.upstream_ca is not None and not encrypted:
        yield document.problem(
            ("upstream_ca",), f"authorities for '{config.upstream}', which is not encrypted", "an https:// upstream"
        )


def _reaches(upstream: str, listen: str) -> bool:
    """True if what is sent to ``upstream`` arrives at ``listen``, as far as their texts tell."""
    if upstream.startswith("unix://") or listen.startswith("unix://"):
        return upstream == listen
    parts = urlsplit(upstream)
    host, _, port = listen.rpartition(":")
    try:
        given = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return False  # a port beyond 65535
    host = host.removeprefix("[").removesuffix("]")
    local = host in {"", "0.0.0.0", "::"} and _is_loopback(f"{parts.hostname}:0")  # noqa: S104 - compared, not bound
    both = parts.hostname == host or (_is_loopback(listen) and _is_loopback(f"{parts.hostname}:0"))
    return str(given) == port and (local or both)


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].removeprefix("[").removesuffix("]")
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False  # a name may be any machine's, and no host means every interface
