"""From names to stacks of licenses, and from names to the family and version that exceptions speak of."""

import pytest

from guard.licensing.license import Derivation, License, Status
from guard.licensing.lineage import resolve_target, stacks
from guard.policy.packs import shipped_packs

PACKS = shipped_packs()


@pytest.mark.parametrize(("name", "stack"), [
    ("meta-llama/Llama-3.1-8B-Instruct", ("llama-3.1",)),
    ("META-LLAMA/llama-3.1-8b-instruct", ("llama-3.1",)),
    ("meta-llama/Meta-Llama-3-8B-Instruct", ("llama-3",)),
    ("meta-llama/Meta-Llama-3.1-8B", ("llama-3.1",)),
    ("deepseek-ai/DeepSeek-R1", ("deepseek-mit",)),
    ("deepseek-ai/DeepSeek-V3", ("deepseek-1.0",)),
    ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", ("deepseek-mit", "llama-3.1")),
    ("deepseek-ai/DeepSeek-R1-Distill-Llama-70B", ("deepseek-mit", "llama-3.3")),
    ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", ("deepseek-mit", "qwen-apache")),
    ("Qwen/Qwen2.5-72B-Instruct", ("qwen-2024",)),
    ("Qwen/Qwen2.5-7B-Instruct", ("qwen-apache",)),
    ("Qwen/Qwen-72B-Chat", ("tongyi-qianwen-2023",)),
])  # fmt: skip
def test_a_repository_is_under_the_licenses_its_packs_state(name, stack):
    assert stacks(name, PACKS) == [stack]


@pytest.mark.parametrize("name", [
    "llama-3.1", "Llama-3.1-8B-Instruct", "someone/Llama-3.1-8B-tuned", "Qwen/Qwen2.5-VL-3B-Instruct", "meta-llama/Llama-Guard-3-8B",
])  # fmt: skip
def test_a_family_name_never_identifies_a_license(name):
    assert stacks(name, PACKS) == []


def test_no_repository_pattern_is_in_two_packs():
    listed = [pattern for license_ in PACKS.values() for pattern in license_.models]
    assert len(listed) == len(set(listed))


def test_several_stacks_are_an_ambiguity_and_stated_lineage_beats_patterns():
    one = License("one", "One", "", Status.CONFIRMED, "f", "f", models=("org/m-*",))
    two = License("two", "Two", "", Status.CONFIRMED, "g", "g", models=("org/*",))
    assert stacks("org/m-1", {"one": one, "two": two}) == [("one",), ("two",)]
    three = License(
        "three", "Three", "", Status.CONFIRMED, "h", "h", derived=(Derivation(("org/m-1",), ("two", "three")),)
    )
    assert stacks("org/m-1", {"one": one, "two": two, "three": three}) == [("two", "three")]


@pytest.mark.parametrize(("name", "families", "versions", "basis"), [
    ("llama-2", ("llama",), ("llama-2",), "declared"),
    ("llama", ("llama",), (), "declared"),
    ("qwen-2024", ("qwen",), ("qwen",), "declared"),
    ("meta-llama/Llama-2-13b", ("llama",), ("llama-2",), "repository"),
    ("codellama/CodeLlama-7b-hf", ("llama",), ("llama-2",), "repository"),
    ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", ("deepseek", "llama"), ("deepseek", "llama-3.1"), "repository"),
    ("mistral-7b", ("mistral",), (), "name"),
    ("mixtral-8x7b", ("mistral",), (), "name"),
    ("someone/Llama3.1_8B-tuned", ("llama",), ("llama-3.1",), "name"),
    ("llama-3-8b", ("llama",), ("llama-3",), "name"),
    ("llama-3.5-8b", ("llama",), (), "name"),
    ("Kimi-K2.5", ("kimi",), ("kimi-k2.5",), "declared"),
    ("Kimi-K9", ("kimi",), (), "name"),
    ("olmo-2-7b", ("olmo",), (), "name"),
])  # fmt: skip
def test_a_target_is_known_by_what_its_name_says(name, families, versions, basis):
    found = resolve_target(name, PACKS)
    assert (found.families, found.versions, found.basis) == (families, versions, basis)


@pytest.mark.parametrize("name", ["acme-model", "tinyllama-1.1b", "llamafile", "7b", "org/", "my-llama-2"])
def test_a_name_that_says_nothing_is_unknown(name):
    assert resolve_target(name, PACKS) is None
