"""Judged text goes into a prompt as data: nothing in it is a control token, a delimiter or a label of the template.

Servers tokenize control tokens wherever their letters stand, in a user's text too; a text with ``</s>`` or
``<|eot_id|>`` in it could end its own turn and speak in another's name. They are broken up by a space. What a judge can
be *talked* into by plain words is a matter of the judge.
"""

import re

_BREAKS = re.compile("\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_CONTROL = re.compile(
    r"""
    <(?=[|\uff5c])                                           # <|eot_id|>, <|start_of_role|>
    | [|\uff5c](?=>)
    | <(?=/?(?:s|bos|eos|pad|unk|mask|sep|cls|think|score|confidence|unused\d+|image_soft_token)>)
    | <(?=/?(?:start|end)_of_[a-z]+>)                        # Gemma's turns, Granite Guardian's
    | <(?=/?(?:BEGIN|END)\b[^<>\n]{0,60}>)                   # Llama Guard's delimiters
    | \[(?=/?(?:INST|SYS|TOOL_CALLS|AVAILABLE_TOOLS)\])
    | <(?=</?SYS>>)
    """,
    re.VERBOSE | re.IGNORECASE,
)
_LABEL = re.compile(
    r"^(?=[ \t]*(?:user|agent|human[ ]question|chatbot[ ]response|user[ ]message|assistant[ ]message)[ \t]*:)",
    re.MULTILINE | re.IGNORECASE,
)


def quoted(text: str) -> str:
    """Return ``text`` with line breaks of one kind, control tokens broken up and labels of turns marked by ``> ``.

    Idempotent for control tokens; anything else in the text stays as it is. Lone surrogates become ``?``.
    """
    text = _BREAKS.sub("\n", text.encode(errors="replace").decode())
    return _LABEL.sub("> ", _CONTROL.sub(lambda match: match[0] + " ", text))
