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
    """By surface (``chat``, ``completions``, ``responses``, ``messages``, ``generate``)."""


_ALLOWED, _DENIED, _STRIPPED = Setting(ALLOW), Setting(DENY), Setting(STRIP)

CAPABILITIES: Mapping[str, Capability] = {
    "logprobs": Capability(
        "log probabilities of the answer's tokens and of their alternatives",
        _ALLOWED,
        _DENIED,
        {
            "chat": ("logprobs", "top_logprobs"),
            "completions": ("logprobs",),
            "responses": ("include: message.output_text.logprobs", "top_logprobs"),
            "generate": ("sampling_params.logprobs", "sampling_params.flat_logprobs"),
        },
    ),
    "prompt_logprobs": Capability(
        "log probabilities of any text the caller supplies; a chat request with echo turns them on too",
        _ALLOWED,
        _DENIED,
        {
            "chat": ("prompt_logprobs", "echo"),
            "completions": ("prompt_logprobs",),
            "generate": ("sampling_params.prompt_logprobs", "sampling_params.prompt_logprob_token_ids"),
        },
    ),
    "logprob_token_ids": Capability(
        "log probabilities of up to 128 chosen tokens per position, whatever the server's limit: full logits in steps",
        _ALLOWED,
        _DENIED,
        dict.fromkeys(("chat", "completions", "generate"), ("logprob_token_ids",)),
    ),
    "token_ids": Capability(
        "token ids, or the rendered prompt: text that leaves in a form no rule reads",
        _DENIED,
        _DENIED,
        {
            "chat": ("return_token_ids", "return_prompt_text", "return_tokens_as_token_ids"),
            "completions": ("return_token_ids", "return_tokens_as_token_ids"),
            "responses": ("enable_response_messages",),
            "generate": ("sampling_params.detokenize: false", "output_mode: tokens"),
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
            "completions": ("n", "prompt: [...]", "use_beam_search"),
            "generate": ("sampling_params.n",),
        },
    ),
    "logit_bias": Capability(
        "forced choices, from which logits can be read by search",
        _ALLOWED,
        _DENIED,
        dict.fromkeys(("chat", "completions", "generate"), ("logit_bias", "allowed_token_ids", "bad_words")),
    ),
    "guided": Capability(
        "answers in a schema, regular expression or grammar",
        _ALLOWED,
        _ALLOWED,
        {
            "chat": ("response_format", "structured_outputs", "guided_*"),
            "completions": ("response_format", "structured_outputs", "guided_*"),
            "responses": ("text.format", "structured_outputs"),
        },
    ),
    "prompt_embeds": Capability(
        "a prompt as vectors, which no rule reads",
        _DENIED,
        _DENIED,
        {"chat": ("content part prompt_embeds",), "completions": ("prompt_embeds",)},
    ),
    "kv_transfer": Capability(
        "the prompt's state handed to another engine",
        _DENIED,
        _DENIED,
        dict.fromkeys(
            ("chat", "completions", "responses", "messages", "generate"), ("kv_transfer_params", "ec_transfer_params")
        ),
    ),
    "routed_experts": Capability(
        "which experts each token was routed to",
        _DENIED,
        _DENIED,
        dict.fromkeys(
            ("chat", "completions", "generate"), ("routed_experts", "routed_experts_prompt_start", "sampling_mask")
        ),
    ),
    "chat_template": Capability(
        "the caller's own prompt template or template variables: text that no rule reads",
        _DENIED,
        _DENIED,
        dict.fromkeys(
            ("chat", "responses", "messages"),
            ("chat_template", "chat_template_kwargs outside the allow-list", "mm_processor_kwargs"),
        ),
    ),
    "stored": Capability(
        "answers kept by the server and fetched later, past the screen",
        _DENIED,
        _DENIED,
        {"responses": ("background", "store: true", "previous_response_id", "previous_input_messages")},
    ),
    "extra_args": Capability(
        "free-form arguments to the server's own logits processors",
        _DENIED,
        _DENIED,
        {
            "chat": ("vllm_xargs",),
            "completions": ("vllm_xargs",),
            "responses": ("vllm_xargs",),
            "messages": ("vllm_xargs",),
            "generate": ("sampling_params.extra_args",),
        },
    ),
    "watermark_opt_out": Capability(
        "an answer without the server's watermark",
        _STRIPPED,
        _STRIPPED,
        dict.fromkeys(("chat", "completions", "responses", "messages"), ("watermarking",)),
    ),
    "prefill": Capability(
        "an answer that continues a text of the caller's",
        _ALLOWED,
        _ALLOWED,
        {
            "chat": ("continue_final_message", "add_generation_prompt: false"),
            "messages": ("last message of assistant",),
        },
    ),
    "length": Capability(
        "tokens per answer",
        _ALLOWED,
        _ALLOWED,
        {
            "chat": ("max_completion_tokens", "max_tokens"),
            "completions": ("max_tokens",),
            "responses": ("max_output_tokens",),
            "messages": ("max_tokens",),
            "generate": ("sampling_params.max_tokens",),
        },
    ),
    "caller_ids": Capability(
        "ids and priorities chosen by the caller, which reach the server's logs, caches and queue",
        _STRIPPED,
        _STRIPPED,
        dict.fromkeys(("chat", "completions", "responses"), ("request_id", "cache_salt", "session_id", "priority")),
    ),
}

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
