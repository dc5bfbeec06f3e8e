"""What the embedded model says: fixed answers to the scene's prompts, and a fixed answer to anything else."""

import json
import re
from hashlib import blake2b
from typing import Any

from guard.cli.demo_scene.shapes import Answer, Call

OTHERWISE = "The old town has seven bridges, and one of them is only for trains."
"""The answer to a prompt that has no cue."""

PIECE = re.compile(r"\s*\S{1,4}|\s+")


class Script:
    """Answers by cue: the first cue that a prompt contains decides."""

    def __init__(self, answers: dict[str, str]) -> None:
        self.answers = {cue.lower(): text for cue, text in answers.items()}

    def text(self, prompt: str) -> str:
        """Return the answer to ``prompt``."""
        lowered = prompt.lower()
        return next((text for cue, text in self.answers.items() if cue in lowered), OTHERWISE)

    def answer(self, prompt: str, body: dict[str, Any]) -> Answer:
        """Return what the model says to ``prompt`` under the request ``body``: a tool call, JSON by schema, or text."""
        counted = len(prompt.split()) or 1
        tool = _wanted_tool(body)
        if tool is not None:
            name, schema = tool
            arguments = json.dumps(fill(schema))
            identifier = f"chatcmpl-tool-{blake2b((name + arguments).encode(), digest_size=8).hexdigest()}"
            return Answer((), Call(identifier, name, arguments), "tool_calls", counted)
        wanted = _wanted_schema(body)
        text = self.text(prompt) if wanted is None else json.dumps(fill(wanted))
        pieces = tuple(PIECE.findall(text))
        limit = body.get("max_completion_tokens") or body.get("max_tokens") or body.get("max_output_tokens")
        if limit is not None and limit < len(pieces):
            return Answer(pieces[:limit], None, "length", counted)
        return Answer(pieces, None, "stop", counted)


def fill(schema: dict[str, Any]) -> Any:
    """Return a value that ``schema`` accepts: the first choice, the least number, a city for a string."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    if kind == "object":
        return {name: fill(inner) for name, inner in schema.get("properties", {}).items()}
    if kind == "array":
        return [fill(schema.get("items", {"type": "string"}))]
    return {"string": "Oslo", "integer": schema.get("minimum", 3), "number": 0.5, "boolean": True}.get(kind)


def _wanted_tool(body: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Return the name and schema of the tool that is called: the named one, or the first unless the choice is none."""
    tools, choice = body.get("tools") or [], body.get("tool_choice")
    kind = choice.get("type") if isinstance(choice, dict) else choice
    if not tools or kind in {"none", None, "auto"}:
        return None
    named = (choice.get("name") or choice.get("function", {}).get("name")) if isinstance(choice, dict) else None
    described = [tool.get("function", tool) for tool in tools]
    tool = next((tool for tool in described if tool["name"] == named), described[0])
    return tool["name"], tool.get("parameters") or tool.get("input_schema") or {}


def _wanted_schema(body: dict[str, Any]) -> dict[str, Any] | None:
    """Return the JSON schema of a structured output, in the chat or the responses spelling."""
    wanted = body.get("response_format") or (body.get("text") or {}).get("format") or {}
    if wanted.get("type") != "json_schema":
        return None
    schema: dict[str, Any] = wanted["schema"] if "schema" in wanted else wanted["json_schema"]["schema"]
    return schema


def vector(text: str, size: int = 8) -> list[float]:
    """Return a fixed vector of ``size`` numbers in -1..1 for ``text``."""
    digest = blake2b(text.encode(), digest_size=2 * size).digest()
    return [int.from_bytes(digest[2 * at : 2 * at + 2]) / 32768 - 1 for at in range(size)]
