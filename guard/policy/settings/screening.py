"""Screening against the acceptable use policy."""

from datetime import date
from typing import Literal

from pydantic import Field

from guard.policy.settings.judge import JudgeConfig
from guard.policy.settings.learned import LearnedConfig
from guard.policy.settings.neural import NeuralConfig
from guard.policy.settings.section import Section
from guard.policy.settings.unscannable import Unscannable, UnscannableConfig
from guard.policy.values import ActionName, CategoryCode


class RelaxConfig(Section):
    """Somebody takes responsibility for being less strict than the license."""

    example = "{category: S6, owner: legal@example.org, expires: 2027-06-30, reason: contract 17}"

    category: CategoryCode = Field(description="Category code (S1-S14, HR, D1).")
    owner: str = Field(min_length=1, description="Who answers for it.")
    expires: date = Field(description="Last day on which it holds (YYYY-MM-DD); after it the license's action applies.")
    reason: str = Field(min_length=1, description="Why, for the record.")


class ScreeningConfig(Section):
    """Screening against the acceptable use policy."""

    example = "{unscannable: deny}"

    rules: tuple[str, ...] = Field(
        default=(),
        examples=["[my-rules.yaml]"],
        description="Rule files or directories of your own, besides the shipped ones.",
    )
    rule_packs: tuple[Literal["privacy"], ...] = Field(
        default=(),
        examples=["[privacy]"],
        description="Shipped rules that act only where they are asked for: `privacy` masks e-mail addresses, phone, "
        "card and account numbers and national ids in prompts and answers.",
    )
    actions: dict[CategoryCode, ActionName] = Field(
        default_factory=dict,
        examples=["{S6: block}"],
        description="Action by category for every model: `block`, `flag`, `log` or `off`. Only stricter than the "
        "license's own action, unless `relax` names an owner.",
    )
    relax: tuple[RelaxConfig, ...] = Field(
        default=(), description="Categories where `actions` may be looser than the license."
    )
    system_prompts: Literal["flag", "block", "off"] = Field(
        default="flag",
        description="The most that is done about findings in system prompts: applications write there what a model "
        "must refuse, in the words of the rules. `block` where callers are strangers.",
    )
    unscannable: Unscannable = Field(
        default=UnscannableConfig(),
        examples=["{image: mark}"],
        description="Parts no text rule can read: `deny`, `mark` or `allow` for every kind, or by kind.",
    )
    learned: LearnedConfig = Field(
        default=LearnedConfig(), description="A small model of words and their neighbors, in every process."
    )
    neural: NeuralConfig = Field(
        default=NeuralConfig(), description="A small transformer that reads prompts beside the upstream call."
    )
    judge: JudgeConfig | None = Field(
        default=None, description="A guard model behind an OpenAI-compatible endpoint; none is asked without it."
    )
