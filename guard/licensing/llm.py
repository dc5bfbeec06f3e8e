"""Models that are plainly no large language models, by their names: what a clause on such models may not speak of.

Llama 2 (1.b.v), Llama 3, DBRX and others forbid to improve "any other large language model". None of them defines the
term, so whether an encoder of 2018 or a model of speech is one is a question for a lawyer, not for a name.
"""

import re

_KINDS = (
    (
        "an encoder of text",
        r"(mobile|tiny|distil|modern|code|al|m|xlm-)?(bert|roberta)|deberta|electra|xlnet|mpnet|minilm",
    ),
    (
        "a small model of text of before 2021",
        r"(flan-|m|by|code)?t5-(small|base)|(distil)?gpt-?2|openai-gpt|bart|pegasus",
    ),
    (
        "a model for embeddings or ranking",
        r"embedding|embeddings|embed|embedder|reranker|rerank|bge|gte|e5|sentence-transformers?|cross-encoder|colbert",
    ),
    (
        "a model of images or video",
        r"clip|siglip|vit|deit|dinov2|dinov3|resnet|convnext|yolo|swin|stable-diffusion|sdxl|detr",
    ),
    ("a model of sound", r"whisper|wav2vec2?|hubert|speecht5|musicgen|encodec|tacotron|vits|tts|asr"),
)
_WHOLE = tuple((what, re.compile(rf"(?:^|[-_./ ])(?:{names})(?=$|[-_./ ]|v?\d)")) for what, names in _KINDS)
"""Each name stands as whole words, but for a number behind it; a word of a repository's owner counts as well."""


def otherwise(name: str) -> str:
    """Return what kind of model ``name`` plainly is instead of a large language model; empty if it may be one."""
    lowered = name.lower()
    return next((what for what, names in _WHOLE if names.search(lowered)), "")
