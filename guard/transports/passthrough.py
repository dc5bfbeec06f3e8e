"""GET routes that carry no text of a user: passed on, with the model's path on disk taken out of ``/v1/models``."""

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from guard.exchange.exchange import Exchange
from guard.exchange.head import Head
from guard.exchange.identify import believed, identify, without_own_keys
from guard.exchange.inquiry import Inquiry
from guard.exchange.refusal import Code, Refusal
from guard.transports.answer import DROPPED, UNUSABLE
from guard.transports.failure import UpstreamError
from guard.transports.incoming import BodyTooLarge, ClientGone, Incoming, read_body
from guard.transports.inner import Whole, gather
from guard.transports.reply import send_refusal, send_whole
from guard.transports.runtime import Runtime
from guard.wire.body import encode
from guard.wire.surfaces import Passthrough, error_shape

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

log = logging.getLogger("guard")

LARGEST_BODY = 64 * 1024
"""Bytes of a body that a GET may bring; it is not forwarded."""

NOT_ASKED = frozenset({b"accept-encoding", b"content-length", b"transfer-encoding", b"expect"})


async def pass_through(
    app: Callable[..., Awaitable[None]],
    match: Passthrough,
    head: Head,
    scope: Scope,
    receive: Receive,
    send: Send,
    runtime: Runtime,
) -> None:
    """Answer a GET with what the server behind says, bounded, under our reference."""
    answer: Whole | None = None
    identity = runtime.snapshot.identity
    dropped = NOT_ASKED | {identity.namespace_header} | {assertion.header for assertion in identity.assertions}
    dropped |= identity.headers - believed(identity, head.peer)
    headers = without_own_keys(identity, (pair for pair in scope["headers"] if pair[0] not in dropped))
    try:
        await read_body(head, receive, LARGEST_BODY)
        answer = await gather(app, {**scope, "headers": headers, "query_string": b""}, Incoming(b"", receive))
        if answer.status >= 500:
            raise UpstreamError(f"GET {head.path}: status {answer.status}")
        body = answer.body
        if match.name == "models" and answer.status == 200:
            listed = without_paths(msgspec.json.decode(body))
            body = encode(
                _for_caller(listed, Exchange(runtime.snapshot, runtime.services, head, Inquiry("models", {}, None)))
            )
    except ClientGone:
        return
    except BodyTooLarge as error:
        refusal = Refusal(413, Code.MALFORMED, str(error), reference=head.reference)
    except Exception as error:  # noqa: BLE001 - in-process, anything the server behind may raise; its text stays here
        what = f"{type(error).__name__}: {error.reason}" if isinstance(error, UpstreamError) else type(error).__name__
        log.warning("upstream: %s, reference %s", what, head.reference, extra={"reference": head.reference})
        status = error.status if isinstance(error, UpstreamError) else 502
        if answer is not None and answer.status in {503, 504}:
            status = answer.status
        refusal = Refusal(status, Code.UPSTREAM_UNAVAILABLE, UNUSABLE, reference=head.reference)
    else:
        kept = [pair for pair in answer.headers if pair[0] not in DROPPED]
        kept.append((b"x-guard-reference", head.reference.encode()))
        kept.append((b"content-length", str(len(body)).encode()))
        await send_whole(send, answer.status, kept, body)
        return
    runtime.turned_away(refusal)
    await send_refusal(send, refusal, error_shape(head.path))


def _for_caller(answer: Any, exchange: Exchange) -> Any:
    """Return the model list without what the caller would be told is not served here.

    The caller is known by its credential, as its requests are. One whose credential is refused is nobody's caller, and
    what is only recorded (shadow) hides nothing.
    """
    identify(exchange)
    if exchange.shadows(Code.LICENSE_TERMS) or not isinstance(answer, dict) or not isinstance(answer.get("data"), list):
        return answer
    tenant = exchange.tenant
    bound = tenant.models if tenant is not None else None

    def may_use(card: Any) -> bool:
        name = card.get("id") if isinstance(card, dict) else None
        model = exchange.snapshot.serving(name) if isinstance(name, str) else None
        return model is not None and (bound is None or model.name in bound)

    answer["data"] = [card for card in answer["data"] if may_use(card)]
    return answer


def without_paths(answer: Any) -> Any:
    """Return the model list with ``root``, which vLLM fills with the path on disk, replaced by the served name."""
    cards = answer.get("data", [answer]) if isinstance(answer, dict) else []
    for card in cards:
        if isinstance(card, dict) and "root" in card:
            card["root"] = card.get("id")
            if card.get("parent") and "/" in str(card["parent"])[:1]:
                card["parent"] = None
    return answer
