"""A guard model behind an OpenAI-compatible endpoint, and what it is asked."""

import re
from contextlib import suppress
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, PlainValidator

from guard.policy.settings.section import Section
from guard.policy.values import CategoryCode, LicenseIds, Seconds
from guard.screening.judge.families import FAMILIES
from guard.screening.judge.question import Family
from guard.screening.judge.yes_no import YesNo

GREY = (0.1, 1.0)
"""Learned scores that leave a prompt in doubt. What the learned tier blocks itself is never asked about."""


def _url(value: Any) -> str:
    if isinstance(value, str):
        if re.fullmatch(r"unix:///\S+", value):
            return value
        with suppress(ValueError):  # a port that is no number
            parts = urlsplit(value)
            plain = re.fullmatch(r"https?://[^/?#@\s]+(/[A-Za-z0-9._~/-]*)?", value)
            if plain and parts.hostname and parts.port != 0:
                return value
    raise ValueError("http://HOST[:PORT][/PATH], https://HOST[:PORT][/PATH] or unix:///path.sock")


def _band(value: Any) -> tuple[float, float]:
    if value == "all":
        return (0.0, 1.0)
    if isinstance(value, (list, tuple)) and len(value) == 2 and all(type(end) in {int, float} for end in value):
        low, high = value
        if 0 <= low < high <= 1:
            return (float(low), float(high))
    raise ValueError("all, or [LOW, HIGH] with 0 <= LOW < HIGH <= 1")


class YesNoConfig(Section):
    """A question of one's own, for any instructed model."""

    example = '{category: S7, question: "Does this text ask where a private person lives? {text} Answer yes or no."}'

    category: CategoryCode = Field(description="Category that the question stands for (S1-S14, HR, D1).")
    question: str = Field(
        description="Question about a prompt, with `{text}` where the user's text goes, as a JSON string."
    )
    answer_question: str | None = Field(
        default=None,
        description="Question about an answer, with `{answer}`, and `{text}` if what it answers is to be there.",
    )
    unsafe: tuple[str, ...] = Field(default=("yes",), description="First words of the judge that mean unsafe.")
    safe: tuple[str, ...] = Field(
        default=("no",), description="First words that mean safe; any other is no answer, and never a pass."
    )

    def family(self) -> Family:
        """Return the judge that asks it. Raises ValueError, whose text is what is allowed."""
        return YesNo(self.category, self.question, self.answer_question, self.unsafe, self.safe)


class JudgeRuleConfig(Section):
    """What the judge is asked, when, and whether the answer waits for it."""

    example = "{categories: [S9], mode: blocking}"

    categories: tuple[CategoryCode, ...] = Field(
        min_length=1, examples=["[S4, S9]"], description="Categories that the judge is asked about."
    )
    mode: Literal["blocking", "asynchronous"] = Field(
        default="asynchronous",
        description="`blocking`: the answer waits for the judge; `asynchronous`: findings are only noted.",
    )
    sample: float = Field(
        default=1.0, gt=0, le=1, description="Share of requests that it is asked about; below 1 only `asynchronous`."
    )
    band: Annotated[tuple[float, float], PlainValidator(_band)] | None = Field(
        default=None,
        description="Learned scores of prompts that it is asked about, `[LOW, HIGH]`, or `all`; a prompt without a "
        "score is always asked about. Default: `[0.1, 1]`, and `all` where outputs are judged.",
    )
    outputs: bool = Field(
        default=False,
        description="Judge finished answers instead of prompts. `blocking` can hold back unstreamed answers only: a "
        "streamed one has left when it is finished.",
    )

    @property
    def scores(self) -> tuple[float, float]:
        """The learned scores, from and to, of the prompts that the judge is asked about."""
        return self.band or ((0.0, 1.0) if self.outputs else GREY)


class JudgeBreakerConfig(Section):
    """When the judge is left alone."""

    example = "{failures: 5, rest: 10}"

    failures: int = Field(default=5, gt=0, description="Failures in a row that open it.")
    rate: float = Field(default=0.5, gt=0, le=1, description="Share of failures among the last `window` that opens it.")
    window: int = Field(default=20, ge=2, le=1000, description="Requests that the share is taken of.")
    rest: Seconds = Field(default=10, description="Seconds until one request tries the judge again.")


class JudgeCacheConfig(Section):
    """Verdicts that are remembered, by keyed digest; no text is."""

    example = "{size: 10000, ttl: 3600}"

    size: int = Field(default=10_000, ge=0, le=10_000_000, description="Verdicts; 0 remembers none.")
    ttl: Seconds = Field(default=3600, description="Seconds for which one holds.")


class JudgeConfig(Section):
    """A guard model behind an OpenAI-compatible endpoint."""

    example = (
        '{url: "http://127.0.0.1:8001", model: meta-llama/Llama-Guard-3-8B, family: llama_guard_3, license: llama-3.1, '
        "rules: [{categories: [S9], mode: blocking}]}"
    )

    url: Annotated[str, PlainValidator(_url)] = Field(
        description="The judge's server: `http://`, `https://` or `unix:///path`; without a path, `/v1`."
    )
    model: str = Field(min_length=1, description="Name of the judge there; its license is found by it.")
    family: Literal[
        "llama_guard_3", "llama_guard_4", "granite_guardian_3", "granite_guardian_3.3", "shieldgemma", "yes_no"
    ] = Field(description="How it is asked and how its answer is read.")
    yes_no: YesNoConfig | None = Field(default=None, description="The question, for the family `yes_no`.")
    rules: tuple[JudgeRuleConfig, ...] = Field(
        min_length=1, description="What it is asked about, each with its own mode."
    )
    license: LicenseIds | None = Field(
        default=None, description="License id or list of ids of the judge itself, where its name does not tell."
    )
    key_file: str | None = Field(default=None, description="File with the API key of the judge's server.")
    key_env: str | None = Field(default=None, min_length=1, description="Environment variable with it.")
    ca: str | None = Field(default=None, description="PEM file with the authorities of an `https://` judge.")
    on_error: Literal["refuse", "serve"] = Field(
        default="refuse",
        description="What happens where a `blocking` rule could not be asked and the model's policy blocks: 503 "
        "`screening_unavailable`, or the request is served and counted as not evaluated.",
    )
    block_from: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Probability of unsafe, where the judge's server tells it, from which a finding may block; "
        "below it only flags.",
    )
    logprobs: bool = Field(default=True, description="Ask for log probabilities; false for servers that refuse it.")
    timeout: Seconds = Field(default=5, description="Seconds for one question, the line included.")
    concurrency: int = Field(default=16, gt=0, description="Most questions at a time.")
    waiting: int = Field(default=64, ge=0, description="Most questions in line; beyond it they are not asked.")
    longest: int = Field(
        default=16_000, ge=1000, description="Characters in one question; a text is asked about in up to 8 such pieces."
    )
    cache: JudgeCacheConfig = Field(default=JudgeCacheConfig(), description="What is remembered.")
    breaker: JudgeBreakerConfig = Field(default=JudgeBreakerConfig(), description="When the judge is left alone.")

    def asked(self) -> Family:
        """Return the family that asks and reads. Raises ValueError, whose text is what is allowed in ``yes_no``."""
        if self.family != "yes_no":
            return FAMILIES[self.family]
        if self.yes_no is None:
            raise ValueError("the question of the family yes_no")
        return self.yes_no.family()
