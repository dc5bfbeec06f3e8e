"""What is plainly no large language model, by its name; and what may be one, which is everything else."""

import pytest

from guard.licensing.lineage import resolve_target
from guard.licensing.llm import otherwise
from guard.licensing.purpose import Purpose
from guard.licensing.verdict import Verdict, output_use_verdict
from guard.policy.packs import shipped_packs

PACKS = shipped_packs()


def verdict(license_id, target):
    return output_use_verdict(PACKS[license_id], Purpose("train", target), resolve_target(target, PACKS))


@pytest.mark.parametrize("name", [
    "bert-base-uncased", "google-bert/bert-large-cased", "xlm-roberta-large", "microsoft/deberta-v3-base",
    "distilbert-base-uncased", "t5-small", "google/flan-t5-base", "gpt2", "openai-community/gpt2-medium", "distilgpt2",
    "Qwen/Qwen3-Embedding-8B", "BAAI/bge-reranker-v2-m3", "sentence-transformers/all-MiniLM-L6-v2",
    "openai/clip-vit-large-patch14", "openai/whisper-large-v3", "facebook/wav2vec2-base", "stable-diffusion-2",
])  # fmt: skip
def test_a_name_tells_that_a_model_is_none(name):
    assert otherwise(name)


@pytest.mark.parametrize("name", [
    "mistralai/Mistral-7B-v0.1", "llama-2", "Qwen/Qwen2.5-VL-7B-Instruct", "gpt-oss-20b", "gpt-neox-20b", "vicuna-7b-v1.5",
    "google/flan-t5-xxl", "gemma-2-9b", "acme-model", "alphabert-70b", "bertie", "",
])  # fmt: skip
def test_everything_else_may_be_one(name):
    assert not otherwise(name)


@pytest.mark.parametrize("license_id", ["llama-2", "llama-3", "dbrx", "hunyuan-large", "tongyi-qianwen-2023"])
def test_whether_a_clause_on_large_language_models_means_another_kind_is_open(license_id):
    found = verdict(license_id, "bert-base-uncased")
    assert found.kind is Verdict.UNDETERMINED
    assert "it is open whether bert-base-uncased, an encoder of text, is one" in found.reason
    assert verdict(license_id, "gemma-2-9b").kind is Verdict.DENY


@pytest.mark.parametrize("license_id", ["hunyuan-a13b", "hunyuan-3d-2.1", "stability-community-2024"])
def test_a_clause_on_other_models_stays_a_denial(license_id):
    assert verdict(license_id, "bert-base-uncased").kind is Verdict.DENY


def test_the_family_is_excepted_whatever_its_models_are_for():
    assert verdict("llama-2", "meta-llama/Llama-2-7b-embedding").kind is Verdict.ALLOW_WITH_OBLIGATIONS


def test_a_target_of_unknown_lineage_is_told_how_to_be_declared():
    found = verdict("llama-2", "vicuna-7b-v1.5")
    assert found.kind is Verdict.UNDETERMINED
    assert "its family, version or license id (llama, llama-2) in place of its name would tell it" in found.reason
    assert verdict("llama-2", "llama-2").kind is Verdict.ALLOW_WITH_OBLIGATIONS
