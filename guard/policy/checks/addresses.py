"""The admin port is loopback or has a token, and an address of its own."""

from collections.abc import Iterator
from ipaddress import ip_address

from guard.policy.config import Config
from guard.policy.document import Document, Problem


def addresses(config: Config, document: Document) -> Iterator[Problem]:
    """Yield a problem for an admin port that anybody could reach, or that is the client port."""
    lost = document.misses(("admin",), ("admin_token_file",))
    if config.admin != "off" and not lost and not _is_loopback(config.admin) and config.admin_token_file is None:
        yield document.problem(
            ("admin",), f"'{config.admin}' is not loopback and has no token", "127.0.0.1:PORT, or admin_token_file"
        )
    if config.admin == config.listen and not document.misses(("admin",), ("listen",)):
        at, other = ("admin", "listen") if ("admin",) in document.lines else ("listen", "admin")
        yield document.problem((at,), f"'{config.admin}' is the address of {other} too", "an address of its own")


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].removeprefix("[").removesuffix("]")
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False  # a name may be any machine's, and no host means every interface
