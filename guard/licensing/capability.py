"""The capability surface: what a request can ask for beyond an answer, and what becomes of it under a license.

Some request fields give a caller what a teacher gives a student (log probabilities, token ids, thousands of samples);
others take the answer out of sight or text in unseen. The names are fixed; the wire room maps fields to them. Field
names and limits were read from vLLM's request models.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from guard.licensing.license import License, OutputRule

ALLOW, CLAMP, STRIP, DENY = "allow", "clamp", "strip", "deny"
_ORDER = (ALLOW, CLAMP, STRIP, DENY)


class Setting(NamedTuple):
    """What happens to a capability; ``limit`` is the largest value a clamp lets through."""

    action: str
    limit: int | None = None

    @property
    def strictness(self) -> tuple[int, int]:
        """Sorts settings: deny over strip over clamp over allow, a smaller clamp over a larger."""
        return _ORDER.index(self.action), -(self.limit or 0)

    def __str__(self) -> str:
        return self.action if self.limit is None else f"{self.action} to {self.limit}"


class Capability(NamedTuple):
    """One capability: what it gives, what happens to it, and the fields it stands for by surface."""

    what: str
    default: Setting
    """Under any license."""
    restricted: Setting
    """Under a license that bars training other models on outputs, or limits outputs to a purpose."""
    fields: Mapping[str, tuple[str, ...]]
    """By surface (as ``guard.wire.fields`` names them): the top-level field, and after a colon what in it counts."""


_ALLOWED, _DENIED, _STRIPPED = Setting(ALLOW), Setting(DENY), Setting(STRIP)

_TRANSFERS = ("kv_transfer_params", "ec_transfer_params")
_TEMPLATES = ("chat_template", "chat_template_kwargs: more than reasoning", "media_io_kwargs", "mm_processor_kwargs")
_REQUEST_IDS = ("request_id", "cache_salt", "priority")
_POOLED = ("embeddings", "pooling", "classify")

CAPABILITIES: Mapping[str, Capability] = {
    "logprobs": Capability(
        "log probabilities of the answer's tokens and of their alternatives",
        _ALLOWED,
        _DENIED,
        {
            "chat": ("logprobs", "top_logprobs"),
            "batch": ("logprobs", "top_logprobs"),
            "completions": ("logprobs",),
            "responses": ("include: message.output_text.logprobs", "top_logprobs"),
        },
    ),
    "prompt_logprobs": Capability(
        "log probabilities of any text the caller supplies; a chat request with echo turns them on too",
        _ALLOWED,
        _DENIED,
        {"chat": ("prompt_logprobs", "echo"), "batch": ("echo",), "completions": ("prompt_logprobs", "echo: logprobs")},
    ),
    "logprob_token_ids": Capability(
        "log probabilities of up to 128 chosen tokens per position, whatever the server's limit: full logits in steps",
        _ALLOWED,
        _DENIED,
        dict.fromkeys(("chat", "batch", "completions"), ("logprob_token_ids",)),
    ),
    "token_ids": Capability(
        "token ids, or the rendered prompt: text that leaves in a form no rule reads",
        _DENIED,
        _DENIED,
        {
            "chat": ("return_token_ids", "return_prompt_text", "return_tokens_as_token_ids"),
            "batch": ("return_token_ids", "return_tokens_as_token_ids"),
            "completions": ("return_token_ids", "return_tokens_as_token_ids"),
            "responses": ("enable_response_messages",),
        },
    ),
    "echo": Capability(
        "the prompt repeated in the answer; with logprobs the same as prompt_logprobs",
        _ALLOWED,
        _DENIED,
        {"completions": ("echo",)},
    ),
    "samples": Capability(
        "answers per request: prompts times n, or beams",
        Setting(CLAMP, 128),
        Setting(CLAMP, 8),
        {
            "chat": ("n", "use_beam_search"),
            "batch": ("n", "use_beam_search", "best_of", "messages: several"),
            "completions": ("n", "use_beam_search", "prompt: several", "prompt_embeds: several"),
        },
    ),
    "logit_bias": Capability(
        "forced choices, from which logits can be read by search",
        _ALLOWED,
        _DENIED,
        {
            "chat": ("logit_bias", "allowed_token_ids", "bad_words"),
            "batch": ("logit_bias",),
            "completions": ("logit_bias", "allowed_token_ids", "bad_words"),
            "responses": ("logit_bias",),
        },
    ),
    "guided": Capability(
        "answers in a schema, regular expression or grammar, or as the call of a tool that the caller picks",
        _ALLOWED,
        _ALLOWED,
        {
            "chat": ("response_format", "structured_outputs", "tool_choice: forced"),
            "batch": ("response_format", "structured_outputs", "guided_decoding_backend"),
            "completions": ("response_format", "structured_outputs"),
            "responses": ("text: format", "structured_outputs", "tool_choice: forced"),
            "messages": ("output_config: format", "tool_choice: forced"),
            "count_tokens": ("output_config: format", "tool_choice: forced"),
        },
    ),
    "prompt_embeds": Capability(
        "a prompt as vectors, which no rule reads",
        _DENIED,
        _DENIED,
        {
            "chat": ("messages: a part of type prompt_embeds",),
            "batch": ("messages: a part of type prompt_embeds",),
            "completions": ("prompt_embeds",),
            "responses": ("input: a part of type prompt_embeds",),
        },
    ),
    "kv_transfer": Capability(
        "the prompt's state handed to another engine",
        _DENIED,
        _DENIED,
        dict.fromkeys(("chat", "completions", "responses", "messages"), _TRANSFERS),
    ),
    "routed_experts": Capability(
        "which experts each token was routed to; where the server tells it unasked it is taken out of the answer",
        _DENIED,
        _DENIED,
        dict.fromkeys(("chat", "completions"), ("routed_experts_prompt_start",)),
    ),
    "chat_template": Capability(
        "the caller's own prompt template or template variables: text that no rule reads",
        _DENIED,
        _DENIED,
        {
            **dict.fromkeys(("chat", "batch", "tokenize", *_POOLED), _TEMPLATES),
            "responses": _TEMPLATES[1:],
            **dict.fromkeys(("messages", "count_tokens"), _TEMPLATES[1:2]),
            **dict.fromkeys(("score", "rerank"), (_TEMPLATES[1], _TEMPLATES[3])),
        },
    ),
    "stored": Capability(
        "answers kept by the server and fetched later, past the screen",
        _DENIED,
        _DENIED,
        {"responses": ("background", "store", "previous_response_id", "previous_input_messages")},
    ),
    "extra_args": Capability(
        "free-form arguments to the server's own logits processors",
        _DENIED,
        _DENIED,
        dict.fromkeys(("chat", "completions", "responses", "messages"), ("vllm_xargs",)),
    ),
    "watermark_opt_out": Capability(
        "an answer without the server's watermark",
        _STRIPPED,
        _STRIPPED,
        dict.fromkeys(("chat", "batch", "completions", "responses", "messages"), ("watermarking: false",)),
    ),
    "prefill": Capability(
        "an answer that continues a text of the caller's",
        _ALLOWED,
        _ALLOWED,
        {
            **dict.fromkeys(("chat", "batch", "tokenize"), ("continue_final_message", "add_generation_prompt: false")),
            **dict.fromkeys(_POOLED, ("continue_final_message",)),
            "responses": ("input: ending in an unfinished item",),
        },
    ),
    "length": Capability(
        "tokens per answer: the most, the least, and going on past the model's own end",
        _ALLOWED,
        _ALLOWED,
        {
            "chat": ("max_completion_tokens", "max_tokens", "min_tokens", "ignore_eos"),
            "batch": ("max_completion_tokens", "max_tokens"),
            "completions": ("max_tokens", "min_tokens", "ignore_eos"),
            "responses": ("max_output_tokens", "ignore_eos"),
            "messages": ("max_tokens",),
        },
    ),
    "caller_ids": Capability(
        "ids and priorities chosen by the caller, which reach the server's logs, caches and queue",
        _STRIPPED,
        _STRIPPED,
        {
            "chat": (*_REQUEST_IDS, "session_id"),
            "batch": _REQUEST_IDS,
            "completions": (*_REQUEST_IDS, "session_id"),
            "responses": (*_REQUEST_IDS, "session_id", "prompt_cache_key"),
            "messages": ("cache_salt",),
            **dict.fromkeys((*_POOLED, "score", "rerank"), _REQUEST_IDS),
        },
    ),
}

BLINDING: Mapping[str, str] = {
    "token_ids": "an answer in ids has no text that a rule could read",
    "prompt_embeds": "a prompt in vectors has no text that a rule could read",
    "kv_transfer": "the rest of the answer is made by an engine that is not behind Guard",
    "chat_template": "what the template adds to the prompt is not read by any rule",
    "stored": "an answer that is fetched later passes no screen",
    "extra_args": "what the server's own processors make of them is not known here",
}
"""Capabilities that take text past the screen, each with why: no entitlement opens them, because a caller who may see
more of an answer is not one whose answers need not be screened. An operator may, for everybody (``outputs.fields``)."""

LIMITS_OUTPUTS = frozenset({OutputRule.PURPOSE_LIMITED, OutputRule.CHAIN, OutputRule.UNDETERMINED})
"""Rules that forbid no training as such, but limit outputs to a purpose Guard cannot see, or settle nothing."""


def restricts_outputs(license_: License) -> bool:
    """True where the license's rule on outputs calls for the restricted setting of a capability."""
    rule = license_.output_use.rule
    return rule.forbids_training or rule in LIMITS_OUTPUTS


def setting(name: str, licenses: Sequence[License]) -> tuple[Setting, License | None]:
    """Return what happens to the capability ``name`` under a stack of licenses, and the license that causes it.

    The license is None where the setting holds under any license. An empty stack means the license is undetermined:
    the restricted setting, caused by none. Raises KeyError for an unknown capability.
    """
    capability = CAPABILITIES[name]
    if capability.restricted == capability.default:
        return capability.default, None
    if not licenses:
        return capability.restricted, None
    for license_ in licenses:
        if restricts_outputs(license_):
            return capability.restricted, license_
    return capability.default, None
