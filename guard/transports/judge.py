"""The judge: one client of a guard model, and for every rule of it a check that runs beside the call to the model."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from zlib import crc32

from prometheus_client import CollectorRegistry

from guard.exchange.assess import AnswerAssessor, Assessor, Unassessed
from guard.exchange.exchange import Exchange
from guard.observability.judge import JudgeMetrics
from guard.policy.api_key import api_key
from guard.policy.settings.judge import JudgeConfig, JudgeRuleConfig
from guard.screening.findings import Action, Finding
from guard.screening.judge.conversation import TooLong, answer_conversations, prompt_conversations
from guard.screening.judge.question import Conversation, Family, Opinion
from guard.screening.segments import Segment, Source
from guard.transports.judge_client import JudgeClient


class Judge(NamedTuple):
    """What a runtime holds of a configured judge."""

    assessors: tuple[Assessor, ...]
    answer_assessors: tuple[AnswerAssessor, ...]
    client: JudgeClient

    def close(self) -> None:
        """Close every connection to it."""
        self.client.close()


def judge_from(
    settings: JudgeConfig, registry: CollectorRegistry, environment: Mapping[str, str] = os.environ
) -> Judge:
    """Return the judge of ``settings``, which ``guard.policy.check`` found no problem in; its metrics in ``registry``.

    Raises KeyUnusable, and OSError for authorities that cannot be read.
    """
    family = settings.asked()
    key = api_key(settings.key_file, settings.key_env, environment)
    client = JudgeClient(settings, family, key, JudgeMetrics(registry))
    about_prompts = tuple(PromptRule(client, family, settings, rule) for rule in settings.rules if not rule.outputs)
    about_answers = tuple(AnswerRule(client, family, settings, rule) for rule in settings.rules if rule.outputs)
    return Judge(about_prompts, about_answers, client)


class _Rule:
    """What prompts and answers have in common."""

    def __init__(self, client: JudgeClient, family: Family, settings: JudgeConfig, rule: JudgeRuleConfig) -> None:
        self._client, self._family = client, family
        self._longest, self._block_from = settings.longest, settings.block_from
        self._categories, self._set = rule.categories, frozenset(rule.categories)
        self._low, self._high = rule.scores
        self._share = int(rule.sample * 2**32)
        self.holds = rule.mode == "blocking"
        """True if nothing of the answer leaves before the judge has spoken."""
        self.required = settings.on_error == "refuse"
        self.settles = False
        """True if a request whose model's policy blocks is refused when the judge could not be asked."""

    def wanted(self, exchange: Exchange) -> bool:
        """Return whether the judge is asked: the policy rules on its categories, the score is in the band, and the
        request is in the sample. Which are is told by the request's reference, so it can be told afterwards.
        """
        model, risk = exchange.model, exchange.risk
        if model is None or self._set.isdisjoint(model.rulings):
            return False
        if risk is not None and not self._low <= risk <= self._high:
            return False
        if self._share < 2**32 and crc32(exchange.head.reference.encode()) >= self._share:
            return False
        return any(segment.source is Source.USER for segment in exchange.inquiry.segments)

    async def _judged(self, conversations: Sequence[Conversation], judged: Segment) -> list[Finding]:
        """Return a finding on each category that the judge finds. Raises Unassessed if a question has no answer."""
        questions = [
            question for conversation in conversations for question in self._family.ask(conversation, self._categories)
        ]
        verdicts = await asyncio.gather(*map(self._client.ask, questions), return_exceptions=True)
        best: dict[str, Opinion] = {}
        failure: BaseException | None = None
        for verdict in verdicts:
            if isinstance(verdict, BaseException):
                failure = failure if isinstance(failure, Unassessed) else verdict
                continue
            for opinion in verdict:
                known = best.get(opinion.category)
                if known is None or self._weight(opinion) > self._weight(known):
                    best[opinion.category] = opinion
        findings = [self._finding(opinion, judged) for opinion in best.values()]
        if isinstance(failure, Unassessed):
            raise Unassessed(failure.reason, findings)
        if failure is not None:
            raise failure
        return findings

    def _weight(self, opinion: Opinion) -> tuple[Action, float]:
        return self._most(opinion), opinion.score or 0.0

    def _most(self, opinion: Opinion) -> Action:
        strong = opinion.sure and (opinion.score is None or opinion.score >= self._block_from)
        return Action.BLOCK if self.holds and strong else Action.FLAG

    def _finding(self, opinion: Opinion, judged: Segment) -> Finding:
        end, most = len(judged.text), self._most(opinion)
        rule = f"judge.{opinion.category}"
        return Finding(rule, opinion.category, 0, end, judged.source, judged.path, most=most, score=opinion.score)


class PromptRule(_Rule):
    """An Assessor: judges what the user wrote."""

    async def assess(self, segments: Sequence[Segment]) -> list[Finding]:
        """Return what the judge finds, at the last of the user's texts: it reads them as one. Raises Unassessed."""
        try:
            conversations = prompt_conversations(segments, self._longest)
        except TooLong:
            raise Unassessed("judge_length") from None
        if not conversations:
            return []
        last = next(segment for segment in reversed(segments) if segment.source is Source.USER)
        return await self._judged(conversations, last)


class AnswerRule(_Rule):
    """An AnswerAssessor: judges a finished answer to what the user wrote."""

    async def assess_answer(self, segments: Sequence[Segment], answer: Segment) -> list[Finding]:
        """Return what the judge finds in ``answer``. Raises Unassessed."""
        try:
            conversations = answer_conversations(segments, answer.text, self._longest)
        except TooLong:
            raise Unassessed("judge_length") from None
        return await self._judged(conversations, answer)
