"""The inference server: that it answers, whose clock is right, and what can be reached of it without Guard."""

import json
import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Sequence
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from guard.cli.doctor.check import Check, fail, ok, warn
from guard.cli.doctor.ledger import clock

if TYPE_CHECKING:
    from guard.policy.config import Config
    from guard.transports.upstream import Upstream

PROBES: tuple[tuple[str, str], ...] = (
    ("/invocations", "runs whole chats and completions, also past an --api-key"),
    ("/generative_scoring", "gives token probabilities, also past an --api-key"),
    ("/pooling", "gives hidden-state vectors, also past an --api-key"),
    ("/tokenize", "shows the rendered chat template, also past an --api-key"),
    ("/detokenize", "gives text for token ids, also past an --api-key"),
    ("/tokenizer_info", "gives the whole tokenizer configuration"),
    ("/scale_elastic_ep", "changes the deployment"),
    ("/v1/load_lora_adapter", "adds a model that no policy knows"),
    ("/server_info", "development mode: the engine's configuration"),
    ("/collective_rpc", "development mode: calls any method of the workers"),
    ("/sleep", "development mode: stops the engine"),
    ("/update_weights", "development mode: replaces the weights"),
)
"""Paths of vLLM that Guard never forwards. Whoever reaches the server without Guard reaches them.

They are asked with GET: a POST route that is mounted says 405 and does nothing (a POST to /sleep would act).
"""
CLOSED = frozenset({401, 403, 404})
TESTED = "0.32.0"
"""The vLLM whose requests and answers Guard's parsers are tested against."""
SECONDS = 1.0
ONLY_GUARD = "bind it to loopback or a unix socket, or let a network policy admit Guard alone"
NOTHING = "nothing: only processes of this machine or pod reach it"
NO_DEVELOPMENT = "start vLLM without VLLM_SERVER_DEV_MODE"
CLOSABLE = {
    "/tokenizer_info": "start vLLM without --enable-tokenizer-info-endpoint",
    "/v1/load_lora_adapter": "start vLLM without VLLM_ALLOW_RUNTIME_LORA_UPDATING",
    "/server_info": NO_DEVELOPMENT,
    "/collective_rpc": NO_DEVELOPMENT,
    "/sleep": NO_DEVELOPMENT,
    "/update_weights": NO_DEVELOPMENT,
}
"""How vLLM is started without a path that not every server has."""


async def checks(config: "Config") -> list[Check]:
    """Return what is to be said of ``upstream``."""
    from guard.transports.upstream import Upstream, UpstreamError

    found: list[Check] = []
    parts = urlsplit(config.upstream)
    try:
        upstream = Upstream(config.upstream, connect_timeout=3.0, read_timeout=10.0, ca_file=config.upstream_ca)
    except (ValueError, OSError, ssl.SSLError) as error:
        return [fail("inference server", str(error), "mend upstream or upstream_ca")]
    try:
        status, headers, _ = await _ask(upstream, "/health")
        said = f"{config.upstream}/health says {status}"
        found.append(
            ok("inference server", said)
            if status == 200
            else warn("inference server", said, "see its log; Guard serves on as soon as it does")
        )
        found += _clock(headers)
        found += await _version(upstream)
        seen = exposure(parts.hostname)
        found.append(seen)
        if seen.state == "ok" and parts.hostname is not None:
            found += beyond(parts.port or 80, own_addresses())
        found += await _paths(upstream, private=seen.state == "ok")
    except UpstreamError as error:
        found.append(fail("inference server", f"{config.upstream}: {error.reason}", "start it, or mend upstream"))
    finally:
        upstream.close()
    return found


async def _ask(upstream: "Upstream", path: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return status, headers and the beginning of the body of a GET."""
    response = await upstream.request("GET", path)
    try:
        return response.status, response.headers, await response.read() if response.status == 200 else b""
    finally:
        response.close()


def _clock(headers: Sequence[tuple[bytes, bytes]]) -> Iterator[Check]:
    for name, value in headers:
        if name == b"date":
            try:
                said = parsedate_to_datetime(value.decode("latin-1")).timestamp()
            except ValueError:
                continue
            yield clock("the inference server", time.time() - said)
            return
    yield warn("clock", "the inference server sends no Date to compare with", "see that NTP sets this machine's clock")


async def _version(upstream: "Upstream") -> list[Check]:
    status, _, body = await _ask(upstream, "/version")
    try:
        version = json.loads(body)["version"] if status == 200 else None
    except (ValueError, KeyError, TypeError):
        version = None
    if not isinstance(version, str):
        return [warn("vLLM", f"/version says {status}: it is no vLLM, or hides it", f"tested is vLLM {TESTED}")]
    version = version.partition("+")[0][:32]
    if version == TESTED:
        return [ok("vLLM", f"version {version}, which Guard is tested with")]
    do = "compare its request fields: Guard refuses those it does not know, and reads those it does"
    return [warn("vLLM", f"version {version}; Guard is tested with {TESTED}", do)]


def exposure(host: str | None) -> Check:
    """Return who else reaches the address that Guard reaches the server by."""
    from guard.transports.listener import Address

    if host is None:
        return ok("exposure", "the inference server is behind a unix socket")
    if Address(host).loopback:
        return ok("exposure", "the inference server is reached over loopback")
    detail = f"the inference server answers on {host}: whoever reaches that address needs no Guard"
    return warn("exposure", detail, ONLY_GUARD)


def own_addresses() -> list[str]:
    """Return this machine's addresses beyond loopback, as far as they are easily found; nothing is sent."""
    found: dict[str, None] = {}
    for family, target in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((target, 9))  # a datagram socket: only the route is looked up
                found[probe.getsockname()[0]] = None
        except OSError:
            continue
    return list(found)


def beyond(port: int, addresses: Iterable[str]) -> Iterator[Check]:
    """Yield a check for the first of ``addresses`` that takes connections on ``port`` too."""
    for address in addresses:
        try:
            socket.create_connection((address, port), SECONDS).close()
        except OSError:
            continue
        detail = f"port {port} is also open on {address}: whoever reaches that address needs no Guard"
        yield warn("exposure", detail, "start vLLM with --host 127.0.0.1")
        return


async def _paths(upstream: "Upstream", *, private: bool) -> list[Check]:
    """Return a check for every path that is there; on a server nobody else reaches it is only worth a warning."""
    found = []
    for path, what in PROBES:
        status, _, _ = await _ask(upstream, path)
        if status not in CLOSED:
            detail = f"{path} answers {status}: {what}"
            if private:
                found.append(warn("open path", detail, CLOSABLE.get(path, NOTHING)))
            else:
                do = "; ".join(filter(None, [CLOSABLE.get(path), ONLY_GUARD]))
                found.append(fail("open path", detail, do))
    return found or [ok("open path", f"none of {len(PROBES)} unguarded paths answers")]
