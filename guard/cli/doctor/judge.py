"""The judge: that it can be reached and is the model it is said to be."""

import json
import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from guard.cli.doctor.check import Check, fail, ok, warn

if TYPE_CHECKING:
    from guard.policy.config import Config

START = "start it, or mend screening.judge; what it is to judge is not evaluated, and refused where a rule blocks"


async def checks(config: "Config") -> list[Check]:
    """Return what is to be said of ``screening.judge``; nothing where there is none."""
    from guard.policy.api_key import KeyUnusable, api_key
    from guard.transports.upstream import Upstream, UpstreamError

    settings = config.screening.judge
    if settings is None:
        return []
    try:
        key = api_key(settings.key_file, settings.key_env, os.environ)
    except KeyUnusable as error:
        return [fail("judge", f"its key {error}", "mend key_file or key_env")]
    parts = urlsplit(settings.url)
    base, path = (settings.url, "/v1") if parts.scheme == "unix" else (f"{parts.scheme}://{parts.netloc}", parts.path)
    path = path.rstrip("/") or "/v1"
    try:
        upstream = Upstream(base, connect_timeout=3.0, read_timeout=10.0, ca_file=settings.ca)
    except (ValueError, OSError) as error:
        return [fail("judge", str(error), "mend screening.judge.url or .ca")]
    try:
        headers = [(b"authorization", b"Bearer " + key.encode())] if key is not None else []
        response = await upstream.request("GET", f"{path}/models", headers)
        try:
            body = b""
            while part := await response.read():
                body += part
        finally:
            response.close()
        status = response.status
    except UpstreamError as error:
        return [fail("judge", f"{settings.url}: {error.reason}", START)]
    finally:
        upstream.close()
    if status != 200:
        return [warn("judge", f"{settings.url}: the list of models says {status}", START)]
    return [_named(settings.model, body, settings.license)]


def _named(model: str, body: bytes, license: tuple[str, ...] | None) -> Check:
    try:
        served = {card["id"] for card in json.loads(body)["data"]}
    except (ValueError, KeyError, TypeError):
        return warn("judge", "its list of models cannot be read", "see that it is an OpenAI-compatible server")
    if model not in served:
        return fail("judge", f"it answers, and serves no {model}", "mend screening.judge.model")
    under = f"under {', '.join(license)}" if license else "under the license that its name leads to"
    return ok("judge", f"serves {model}, {under}")
