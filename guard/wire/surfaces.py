"""Which paths exist: default deny. A path is served only if a parser of ours reads what is sent to it.

Paths are matched exactly, on the decoded path: vLLM redirects a trailing slash, decodes ``%76`` before routing and has
inference routes outside ``/v1`` that its own API key does not cover.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from guard.exchange.inquiry import Inquiry
from guard.exchange.refusal import Code, Refusal
from guard.wire import body
from guard.wire.answers import chat as chat_answers
from guard.wire.answers import completions as completions_answers
from guard.wire.answers import messages as messages_answers
from guard.wire.answers import plain as plain_answers
from guard.wire.answers import responses as responses_answers
from guard.wire.answers.plain_choices import CHAT as PLAIN_CHAT
from guard.wire.answers.plain_choices import COMPLETION as PLAIN_COMPLETION
from guard.wire.answers.whole import Codec, Plain
from guard.wire.dialect import Answered, AnswerStream, Dialect, OutputGate, Screened
from guard.wire.refusals import Shape, anthropic_shape, openai_shape
from guard.wire.requests import batch, chat, completions, everyday, messages, pooling, responses, tokens

Parse = Callable[[dict[str, Any]], Inquiry]
Screen = Callable[[Inquiry, bytes, OutputGate], Screened]
OpenStream = Callable[[Inquiry, OutputGate], AnswerStream]


class Answers(Protocol):
    """What a module of ``guard.wire.answers`` offers."""

    def screen_answer(self, inquiry: Inquiry, answer: dict[str, Any], gate: OutputGate) -> dict[str, Any]:
        """Feed every text of an unstreamed ``answer`` to ``gate`` and return the answer with blocked choices ended
        (their text cut at the cleared length, the dialect's content-filter ending, ``guard`` facts), and with the id of
        each choice's receipt as ``guard.receipt``.
        """

    def answered(self, answer: dict[str, Any]) -> list[Answered]:
        """Return what an answer that came out of ``screen_answer`` holds, one entry per choice."""

    def open_stream(self, inquiry: Inquiry, gate: OutputGate) -> AnswerStream:
        """As Dialect.open_stream."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A dialect put together from a request parser, an answer codec and an error shape."""

    parse: Parse
    screen: Screen
    open_stream: OpenStream
    refusal: Shape
    receipts: bool = True


@dataclass(frozen=True, slots=True)
class Surface:
    """A path that takes inference requests by POST."""

    name: str
    dialect: Dialect
    optional: str | None = None
    """The name by which a policy opens this surface (``surface.enabled``), or None if it is always open."""
    short: Callable[[bytes], Inquiry | None] | None = None
    """Reads the requests of every day; None for those that it leaves to ``parse``."""
    seal: Callable[[dict[str, Any]], None] | None = None
    """Writes safe values where a policy stripped a field whose default in vLLM is not safe."""

    @property
    def parse(self) -> Parse:
        """The request half: types a document in place and returns the inquiry; raises Malformed."""
        return self.dialect.parse

    @property
    def screen(self) -> Screen:
        """The answer half for the bytes of a whole answer: what leaves, and what that holds, for receipts."""
        return self.dialect.screen

    @property
    def open_stream(self) -> OpenStream:
        """The answer half for a streamed answer."""
        return self.dialect.open_stream

    @property
    def receipts(self) -> bool:
        """Whether its answers hold choices, each of which gets a receipt."""
        return self.dialect.receipts

    @property
    def refusal(self) -> Shape:
        """The error shape."""
        return self.dialect.refusal

    def read(self, raw: bytes, content_type: str | None, *, max_depth: int) -> Inquiry:
        """Return the inquiry of a request whose body is ``raw``. Raises Malformed; arguments as ``body.decode``."""
        if self.short is not None and content_type == body.JSON and max_depth >= everyday.DEPTH:
            inquiry = self.short(raw)
            if inquiry is not None:
                return inquiry
        return self.dialect.parse(body.decode(raw, content_type, max_depth=max_depth))

    def write(self, inquiry: Inquiry) -> bytes:
        """Return the bytes to send upstream for an admitted ``inquiry``."""
        return self.encode(inquiry.document) if inquiry.written is None else inquiry.written

    def encode(self, document: dict[str, Any]) -> bytes:
        """Return the bytes to send upstream for an admitted ``document``."""
        if self.seal is not None:
            self.seal(document)
        return body.encode(document)

    def closed(self) -> Refusal:
        """Return the refusal for an optional surface that the policy has not opened."""
        return Refusal(403, Code.SURFACE_DENIED, f"The surface '{self.optional}' is not open on this server.")


@dataclass(frozen=True, slots=True)
class Passthrough:
    """A GET that carries no text of users or models and is forwarded as it is."""

    name: str
    optional: str | None = None
    """As ``Surface.optional``."""

    def closed(self) -> Refusal:
        """Return the refusal for an optional route that the policy has not opened."""
        return Refusal(403, Code.SURFACE_DENIED, f"The surface '{self.optional}' is not open on this server.")


@dataclass(frozen=True, slots=True)
class Refused:
    """A method and path that are not served, and why."""

    reason: str
    status: int = 403
    allow: str = ""
    """The method that the path does take, for 405."""

    @property
    def denial(self) -> Refusal:
        """The refusal to answer with."""
        return Refusal(self.status, Code.SURFACE_DENIED, self.reason)


Match = Surface | Passthrough | Refused


def match(method: str, path: str) -> Match:
    """Return what is done with a request for ``method`` (upper-case) and the decoded ``path``."""
    surface = SURFACES.get(path)
    if surface is not None:
        if method == "POST":
            return surface
        return Refused("This path takes POST only.", 405, "POST")
    passthrough = PASSTHROUGH.get(path)
    if passthrough is not None:
        if method == "GET":
            return passthrough
        return Refused("This path takes GET only.", 405, "GET")
    refused = REFUSED.get(path)
    if refused is not None:
        return refused
    if path.startswith("/v1/responses/"):
        return _STORED
    return _UNKNOWN


def error_shape(path: str) -> Shape:
    """Return the shape of errors on ``path``: Anthropic's for its own paths, OpenAI's for every other."""
    return anthropic_shape if path == "/v1/messages" or path.startswith("/v1/messages/") else openai_shape


def _spoken(parse: Parse, answers: Answers, shape: Shape = openai_shape, plain: Plain | None = None) -> Spoken:
    codec = Codec(answers.screen_answer, answers.answered, plain)
    return Spoken(parse, codec.screen, answers.open_stream, shape)


def _plain(parse: Parse, shape: Shape = openai_shape) -> Spoken:
    return replace(_spoken(parse, plain_answers, shape), receipts=False)


_RERANK = Surface("rerank", _plain(pooling.parse_rerank), "rerank")
_SCORE = Surface("score", _plain(pooling.parse_score), "score")

SURFACES: dict[str, Surface] = {
    "/v1/chat/completions": Surface("chat", _spoken(chat.parse, chat_answers, plain=PLAIN_CHAT), short=everyday.read),
    "/v1/completions": Surface("completions", _spoken(completions.parse, completions_answers, plain=PLAIN_COMPLETION)),
    "/v1/responses": Surface("responses", _spoken(responses.parse, responses_answers), seal=responses.seal),
    "/v1/messages": Surface("messages", _spoken(messages.parse, messages_answers, anthropic_shape)),
    "/v1/messages/count_tokens": Surface("count_tokens", _plain(messages.parse_count, anthropic_shape)),
    "/v1/chat/completions/batch": Surface("batch", _spoken(batch.parse, chat_answers, plain=PLAIN_CHAT), "batch"),
    "/v1/embeddings": Surface("embeddings", _plain(pooling.parse_embeddings), "embeddings"),
    "/v2/embed": Surface("embeddings", _plain(pooling.parse_cohere), "embeddings"),
    "/pooling": Surface("pooling", _plain(pooling.parse_pooling), "pooling"),
    "/classify": Surface("classify", _plain(pooling.parse_classify), "classify"),
    "/score": _SCORE,
    "/v1/score": _SCORE,
    "/rerank": _RERANK,
    "/v1/rerank": _RERANK,
    "/v2/rerank": _RERANK,
    "/tokenize": Surface("tokenize", _plain(tokens.parse_tokenize), "tokenize"),
    "/detokenize": Surface("detokenize", _plain(tokens.parse_detokenize), "detokenize"),
}

PASSTHROUGH: dict[str, Passthrough] = {
    "/v1/models": Passthrough("models"),
    "/health": Passthrough("health"),
    "/ping": Passthrough("ping"),
    "/version": Passthrough("version"),
    "/metrics": Passthrough("metrics", "metrics"),
}

_RENDER = "Rendering a prompt to token ids and back is not served: it shows chat templates and tokens to callers."
_GENERATE = "Token-level generation is not served: token ids in and out bypass every check on text."
_WEIGHTS = "Changing or inspecting the weights of a running server is not served to clients."
_CACHES = "Resetting the caches of a running server is not served to clients."
_LIFECYCLE = "Pausing, scaling or stopping a running server is not served to clients."
_LORA = "Loading adapters at run time is not served: a model's license is decided by policy, not by a caller."
_SPEECH = "Speech and realtime surfaces are not served: no rule here reads audio."
_DETAILS = "Details of the server are not served to clients."
_STORED = Refused(
    "Stored answers are not served: they have no owner and were not screened when they were stored."
    " Ask for the answer in the POST itself, without background."
)
_UNKNOWN = Refused("This path is not one that Guard serves. Paths are matched exactly.")

REFUSED: dict[str, Refused] = {
    "/invocations": Refused(
        "The SageMaker surface /invocations is not served: it takes requests of every other surface, and vLLM serves"
        " it without its API key. Use the surface itself."
    ),
    "/generative_scoring": Refused(
        "Generative scoring is not served: it gives out the probabilities of chosen tokens, and vLLM serves it without"
        " its API key."
    ),
    "/v1/systemone": Refused("Structured decisions are not served: their answers are probabilities, not text."),
    "/cohere/v2/chat": Refused("The Cohere chat surface is not served: no parser here reads it."),
    **{
        path: Refused(reason)
        for reason, paths in (
            (
                _RENDER,
                (
                    "/v1/chat/completions/render",
                    "/v1/completions/render",
                    "/v1/responses/render",
                    "/v1/messages/render",
                    "/v1/chat/completions/derender",
                    "/v1/completions/derender",
                ),
            ),
            (_GENERATE, ("/inference/v1/generate", "/inference/v1/abort_requests", "/abort_requests")),
            (
                _WEIGHTS,
                (
                    "/collective_rpc",
                    "/init_weight_transfer_engine",
                    "/shutdown_weight_transfer_engine",
                    "/start_weight_update",
                    "/start_draft_weight_update",
                    "/update_weights",
                    "/finish_weight_update",
                    "/update_weight_version",
                    "/weight_info",
                    "/weight_checker",
                ),
            ),
            (
                _CACHES,
                ("/reset_prefix_cache", "/reset_mm_cache", "/reset_encoder_cache", "/release_kv_cache_memory"),
            ),
            (
                _LIFECYCLE,
                (
                    "/sleep",
                    "/wake_up",
                    "/is_sleeping",
                    "/pause",
                    "/resume",
                    "/is_paused",
                    "/scale_elastic_ep",
                    "/is_scaling_elastic_ep",
                    "/fault_tolerance/status",
                    "/fault_tolerance/apply",
                    "/start_profile",
                    "/stop_profile",
                ),
            ),
            (_LORA, ("/v1/load_lora_adapter", "/v1/unload_lora_adapter")),
            (_SPEECH, ("/v1/audio/transcriptions", "/v1/audio/translations", "/v1/realtime")),
            (
                _DETAILS,
                (
                    "/load",
                    "/ready",
                    "/readyz",
                    "/server_info",
                    "/get_world_size",
                    "/kv_event_sources",
                    "/tokenizer_info",
                    "/openapi.json",
                    "/docs",
                    "/docs/oauth2-redirect",
                    "/redoc",
                ),
            ),
        )
        for path in paths
    },
}
"""Routes of vLLM that are known and closed, each with the reason a caller is told."""
