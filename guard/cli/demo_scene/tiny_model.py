"""Write a Llama with random weights and a tokenizer of its own: no network, a few hundred KB, always the same.

    VLLM_VENV/bin/python tiny_model.py DIRECTORY

Its answers are noise, but at temperature 0 always the same noise, and everything around them is a real vLLM's.
Needs torch, transformers and tokenizers, which come with vLLM.
"""

import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"

SHAPE: dict[str, int] = {"form": 1, "vocabulary": 1024, "hidden": 64, "layers": 2, "positions": 2048, "seed": 0}
HEAD = 32  # the smallest attention head that vLLM's CPU kernels take

TEXTS = [
    "The server keeps a ledger of users, and every user is counted once a month.",
    "A license has clauses; a clause has a number, a condition and a consequence.",
    "How many bridges cross the river in the old town? Seven, and one of them is only for trains.",
    "def area(width, height):\n    return width * height\n",
    '{"name": "lookup", "arguments": {"city": "Oslo", "days": 3}}',
    '<tool_call>\n{"name": "lookup", "arguments": {"id": 7}}\n</tool_call>',
    "<think>\nThe question has two parts, so the answer has two parts.\n</think>",
    "0 1 2 3 4 5 6 7 8 9 10 20 50 100 1000 0.5 2.75",
    "r\u00e9sum\u00e9 \u03bb\u03cc\u03b3\u03bf\u03c2 \u043a\u043d\u0438\u0433\u0430",
    "\u6587\u5b57 \u304b\u306a \U0001f4da",
]
CONTROL = ["<unk>", "<s>", "</s>", "<|user|>", "<|assistant|>", "<|system|>", "<|tool|>", "<|end|>"]
MARKS = ["<think>", "</think>", "<tool_call>", "</tool_call>"]
"""Ordinary text, but one token each: vLLM's reasoning and tool parsers look for them."""

TEMPLATE = """{{- bos_token }}
{%- if tools %}<|system|>{% for tool in tools %}{{ tool | tojson }}{% endfor %}<|end|>{% endif %}
{%- for message in messages %}<|{{ message['role'] }}|>
{%- if message['content'] is string %}{{ message['content'] }}
{%- elif message['content'] %}{% for part in message['content'] %}{{ part['text'] }}{% endfor %}
{%- endif %}
{%- for call in message['tool_calls'] or [] %}<tool_call>{{ call['function'] | tojson }}</tool_call>{% endfor %}<|end|>
{%- endfor %}
{%- if add_generation_prompt %}<|assistant|>{% endif %}"""


def write(directory: Path) -> None:
    """Write the model to ``directory`` unless it is there already in this form."""
    stamp = directory / "guard_tiny_model.json"
    if stamp.exists() and json.loads(stamp.read_text()) == SHAPE:
        return
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=SHAPE["vocabulary"],
        special_tokens=CONTROL,
        min_frequency=1,
        initial_alphabet=alphabet,
        show_progress=False,
    )
    bpe.train_from_iterator(TEXTS * 4, trainer)
    roles = {"unk": "<unk>", "bos": "<s>", "eos": "</s>", "pad": "</s>"}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        additional_special_tokens=CONTROL[3:],
        model_max_length=SHAPE["positions"],
        **{f"{role}_token": token for role, token in roles.items()},
    )
    tokenizer.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in MARKS])
    tokenizer.chat_template = TEMPLATE

    torch.manual_seed(SHAPE["seed"])
    heads = SHAPE["hidden"] // HEAD
    config = LlamaConfig(
        vocab_size=-(-len(tokenizer) // 64) * 64,
        hidden_size=SHAPE["hidden"],
        intermediate_size=2 * SHAPE["hidden"],
        num_hidden_layers=SHAPE["layers"],
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=HEAD,
        max_position_embeddings=SHAPE["positions"],
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
    )
    directory.mkdir(parents=True, exist_ok=True)
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    stamp.write_text(json.dumps(SHAPE))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
