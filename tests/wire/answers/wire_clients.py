"""What the official clients understand of a stream: the bytes go through their own transport, parser and types."""

import json
from typing import Any

import anthropic
import httpx2
import openai


class Wire:
    """An HTTP transport that answers every request with ``body``."""

    def __init__(self) -> None:
        self.body = b""
        self.type = "text/event-stream; charset=utf-8"
        http = httpx2.Client(transport=httpx2.MockTransport(self._answer))
        url = "http://guard.test"
        self.openai = openai.OpenAI(api_key="none", base_url=f"{url}/v1", http_client=http, max_retries=0)
        self.anthropic = anthropic.Anthropic(api_key="none", base_url=url, http_client=http, max_retries=0)

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": self.type}, content=self.body, request=request)


def _brief(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value}


def chat(wire: Wire) -> Any:
    choices: dict[int, dict[str, Any]] = {}
    usage, error = None, None
    try:
        for chunk in wire.openai.chat.completions.create(model="tiny", messages=[], stream=True):
            usage = chunk.usage or usage
            for choice in chunk.choices:
                known = choices.setdefault(choice.index, {"tools": {}, "logprobs": ""})
                delta = choice.delta
                for key in ("content", "reasoning", "reasoning_content", "refusal"):
                    if getattr(delta, key, None):
                        known[key] = known.get(key, "") + getattr(delta, key)
                for call in delta.tool_calls or ():
                    tool = known["tools"].setdefault(call.index, ["", ""])
                    if call.function:
                        tool[0] += call.function.name or ""
                        tool[1] += call.function.arguments or ""
                if choice.logprobs:
                    known["logprobs"] += "".join(entry.token for entry in choice.logprobs.content or ())
                if choice.finish_reason:
                    known["finish"] = choice.finish_reason
                    known["clause"] = (getattr(choice, "guard", None) or {}).get("clause")
    except openai.APIError as problem:
        error = problem.message
    found = [
        _brief(choice=index, **{**known, "tools": [*known["tools"].values()]})
        for index, known in sorted(choices.items())
    ]
    return _brief(choices=found, tokens=usage and usage.completion_tokens, error=error)


def completions(wire: Wire) -> Any:
    choices: dict[int, dict[str, Any]] = {}
    usage, error = None, None
    try:
        for chunk in wire.openai.completions.create(model="tiny", prompt="", stream=True):
            usage = chunk.usage or usage
            for choice in chunk.choices:
                known = choices.setdefault(choice.index, {"text": "", "logprobs": ""})
                known["text"] += choice.text
                if choice.logprobs:
                    known["logprobs"] += "".join(choice.logprobs.tokens or ())
                if choice.finish_reason:
                    known["finish"] = choice.finish_reason
                    known["clause"] = (getattr(choice, "guard", None) or {}).get("clause")
    except openai.APIError as problem:
        error = problem.message
    found = [_brief(choice=index, **known) for index, known in sorted(choices.items())]
    return _brief(choices=found, tokens=usage and usage.completion_tokens, error=error)


def responses(wire: Wire) -> Any:
    """Besides the text of the last event, check that all four tellings of the text agree."""
    final, texts, numbers = None, {}, []
    with wire.openai.responses.stream(model="tiny", input="") as stream:
        for event in stream:
            if event.type == "error":
                return {"error": event.message}
            if event.type != "keepalive":
                numbers.append(event.sequence_number)
            if event.type.endswith(".delta"):
                key = (event.output_index, getattr(event, "content_index", None))
                texts[key] = texts.get(key, "") + event.delta
            if event.type in {"response.output_text.done", "response.reasoning_text.done"}:
                assert event.text == texts.get((event.output_index, event.content_index), "")
            if event.type == "response.function_call_arguments.done":
                assert event.arguments == texts.get((event.output_index, None), "")
            final = getattr(event, "response", final)
    assert numbers == sorted(set(numbers)), "sequence numbers go up"
    assert final is not None
    output = []
    for item in final.output:
        if item.type == "function_call":
            output.append(["function_call", item.name, item.arguments])
        else:
            output.append([item.type, *[part.text for part in item.content or ()]])
    told = "".join(texts.values())
    assert told == "".join(text for item in output for text in item[2 if item[0] == "function_call" else 1 :])
    details = final.incomplete_details
    return _brief(
        status=final.status,
        reason=details and details.reason,
        output=output,
        clause=(getattr(final, "guard", None) or {}).get("clause"),
        error=final.error and final.error.message,
    )


def messages(wire: Wire) -> Any:
    try:
        with wire.anthropic.messages.stream(model="tiny", max_tokens=9, messages=[]) as stream:
            message = stream.get_final_message()
    except anthropic.APIError as problem:
        body = problem.body
        return {"error": body["error"]["message"] if isinstance(body, dict) else str(body)}
    blocks = []
    for block in message.content:
        if block.type == "tool_use":
            blocks.append(["tool_use", block.name, block.input])
        else:
            blocks.append([block.type, block.text if block.type == "text" else block.thinking])
    return _brief(blocks=blocks, stop=message.stop_reason, tokens=message.usage.output_tokens)


READERS = {"chat": chat, "completions": completions, "responses": responses, "messages": messages}


def understand(wire: Wire, dialect: str, body: bytes) -> Any:
    """Return what the client of ``dialect`` understands of the stream ``body``, as plain JSON."""
    wire.body = body
    return json.loads(json.dumps(READERS[dialect](wire)))
