"""The admin port: who can reach it, and with what."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from guard.cli.doctor.check import Check, fail, ok, warn

if TYPE_CHECKING:
    from guard.policy.config import Config


def checks(config: "Config") -> Iterator[Check]:
    """Yield what is to be said of ``admin``."""
    from guard.transports.listener import Address

    if config.admin == "off":
        detail = "off: no metrics, no health, no reload over HTTP"
        yield warn("admin port", detail, "admin: 127.0.0.1:9090")
    elif Address.parse(config.admin).loopback:
        yield ok("admin port", f"{config.admin} is loopback")
    elif config.admin_token_file is None:
        detail = f"{config.admin} is beyond loopback and no admin_token_file is set"
        yield fail("admin port", detail, "set admin_token_file, or listen on loopback")
    else:
        yield _token(Path(config.admin_token_file), config.admin)


def _token(path: Path, admin: str) -> Check:
    from guard.transports.access import read_token

    try:
        read_token(path)
    except (OSError, ValueError) as error:
        return fail("admin port", str(error), "write a token of 16 characters or more into it")
    return ok("admin port", f"{admin} asks for the token in {path}")
