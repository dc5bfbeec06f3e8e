"""Prints, as JSON, the request fields of an installed vLLM by surface and the routes its source defines.

Run it with the interpreter of the vLLM to read, outside of Guard's own environment:

    /path/to/vllm/bin/python tests/contract/extract_fields.py > tests/contract/vllm-fields.json
"""

import ast
import json
import sys
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

MODELS = {
    "chat": ["openai.chat_completion.protocol:ChatCompletionRequest"],
    "batch": ["openai.chat_completion.protocol:BatchChatCompletionRequest"],
    "completions": ["openai.completion.protocol:CompletionRequest"],
    "responses": ["openai.responses.protocol:ResponsesRequest"],
    "messages": ["anthropic.protocol:AnthropicMessagesRequest"],
    "count_tokens": ["anthropic.protocol:AnthropicCountTokensRequest"],
    "embeddings": ["pooling.embed.protocol:EmbeddingRequest"],
    "cohere_embed": ["pooling.embed.protocol:CohereEmbedRequest"],
    "pooling": ["pooling.pooling.protocol:PoolingRequest"],
    "classify": ["pooling.classify.protocol:ClassificationRequest"],
    "score": ["pooling.scoring.protocol:ScoreRequest"],
    "rerank": ["pooling.scoring.protocol:RerankRequest"],
    "tokenize": ["serve.tokenize.protocol:TokenizeRequest"],
    "detokenize": ["serve.tokenize.protocol:DetokenizeRequest"],
}
METHODS = {"get", "post", "put", "patch", "delete", "websocket"}


def models(annotation):
    """Yield the pydantic models in a union, an Annotated or a single model."""
    if hasattr(annotation, "model_fields"):
        yield annotation
        return
    for argument in getattr(annotation, "__args__", ()):
        yield from models(argument)


def fields():
    found = {}
    for surface, places in MODELS.items():
        names = set()
        for place in places:
            module, _, attribute = place.partition(":")
            annotation = getattr(import_module(f"vllm.entrypoints.{module}"), attribute)
            read = list(models(annotation))
            assert read, f"{place} holds no request model"
            for model in read:
                names |= {field.alias or name for name, field in model.model_fields.items()}
        found[surface] = sorted(names)
    return found


def routes():
    """Return every path that a ``@router.<method>(path)`` in vLLM's entrypoints defines."""
    root = Path(find_spec("vllm.entrypoints").submodule_search_locations[0])
    found = set()
    for file in root.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in METHODS
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id in {"router", "app"}
                and node.args
                and isinstance(node.args[0], ast.Constant)
                and str(node.args[0].value).startswith("/")
            ):
                found.add(f"{node.func.attr.upper()} {node.args[0].value}")
    return sorted(found)


if __name__ == "__main__":
    json.dump({"vllm": version("vllm"), "fields": fields(), "routes": routes()}, sys.stdout, indent=1)
    sys.stdout.write("\n")
