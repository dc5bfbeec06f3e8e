"""The embedded upstream speaks the dialects: the official clients parse it, streamed and not.

The same clients get the same from Guard in its place, with nothing but the address changed; several prompts in one
request need a stated purpose besides.
"""

import anthropic
import openai
import pytest

from guard.cli.demo_scene.deployment import CUT_TEXT, LETTER, SCRIPT, serve_embedded, sidecar
from guard.cli.demo_scene.script import OTHERWISE
from guard.cli.demo_scene.stage import LLAMA, QWEN
from guard.cli.demo_scene.upstream import Upstream

MESSAGES = [{"role": "user", "content": "How many bridges are there?"}]
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Oslo", "Bergen"]}, "days": {"type": "integer"}},
    "required": ["city"],
}
TOOL = {"type": "function", "function": {"name": "forecast", "description": "The weather.", "parameters": PARAMETERS}}
CALLED = '{"city": "Oslo", "days": 3}'


@pytest.fixture(scope="module")
def upstream():
    with serve_embedded(Upstream((LLAMA, QWEN), SCRIPT)) as url:
        yield url


@pytest.fixture(scope="module", params=["upstream", pytest.param("guard", marks=pytest.mark.slow)])
def url(request, upstream, tmp_path_factory):
    if request.param == "upstream":
        yield upstream
        return
    folder = tmp_path_factory.mktemp("guard")
    with sidecar(folder, upstream, {}, "", "", {}) as stage:
        yield stage.url


@pytest.fixture(scope="module")
def openai_client(url):
    stated = {"x-guard-purpose": "serve"}  # Guard wants to know what several prompts in one request are for
    with openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0, default_headers=stated) as client:
        yield client


@pytest.fixture(scope="module")
def anthropic_client(url):
    with anthropic.Anthropic(base_url=url, api_key="any", max_retries=0) as client:
        yield client


def test_chat(openai_client):
    answer = openai_client.chat.completions.create(model=QWEN, messages=MESSAGES, n=2, logprobs=True, top_logprobs=2)
    assert [choice.message.content for choice in answer.choices] == [OTHERWISE, OTHERWISE]
    assert "".join(record.token for record in answer.choices[1].logprobs.content) == OTHERWISE
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_chat_stream(openai_client):
    stream = openai_client.chat.completions.create(
        model=QWEN, messages=MESSAGES, n=2, stream=True, stream_options={"include_usage": True}
    )
    texts, finishes, usage = ["", ""], [], None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            finishes += [choice.finish_reason] if choice.finish_reason else []
    assert texts == [OTHERWISE, OTHERWISE]
    assert finishes == ["stop", "stop"]
    assert usage.completion_tokens > 2


def test_tools(openai_client):
    asked = {"model": QWEN, "messages": MESSAGES, "tools": [TOOL], "tool_choice": "required"}
    call = openai_client.chat.completions.create(**asked).choices[0].message.tool_calls[0]
    assert (call.function.name, call.function.arguments) == ("forecast", CALLED)
    with openai_client.chat.completions.stream(**asked) as stream:
        choice = stream.get_final_completion().choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls[0].function.arguments == CALLED


def test_structured_output(openai_client):
    wanted = {"type": "json_schema", "json_schema": {"name": "weather", "schema": PARAMETERS}}
    answer = openai_client.chat.completions.create(model=QWEN, messages=MESSAGES, response_format=wanted)
    assert answer.choices[0].message.content == CALLED


@pytest.mark.parametrize("prompt", ["a", ["a", "b"], list(b"a b"), [list(b"a"), list(b"b")]])
def test_completions_take_four_shapes_of_prompts(openai_client, prompt):
    answer = openai_client.completions.create(model=QWEN, prompt=prompt)
    streamed = list(openai_client.completions.create(model=QWEN, prompt=prompt, stream=True))
    expected = 2 if isinstance(prompt, list) and not isinstance(prompt[0], int) else 1
    assert [choice.text for choice in answer.choices] == [OTHERWISE] * expected
    assert "".join(chunk.choices[0].text for chunk in streamed) == OTHERWISE * expected


def test_length_limit(openai_client):
    answer = openai_client.chat.completions.create(model=QWEN, messages=MESSAGES, max_tokens=3)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 3
    assert OTHERWISE.startswith(answer.choices[0].message.content)


def test_responses(openai_client):
    assert openai_client.responses.create(model=QWEN, input="hello").output_text == OTHERWISE
    with openai_client.responses.stream(model=QWEN, input="hello") as stream:
        kinds = [event.type for event in stream]
        assert stream.get_final_response().output_text == OTHERWISE
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"


def test_responses_call_tools(openai_client):
    tool = {"type": "function", "name": "forecast", "parameters": PARAMETERS}
    asked = {"model": QWEN, "input": "hello", "tools": [tool], "tool_choice": "required"}
    assert openai_client.responses.create(**asked).output[0].arguments == CALLED
    with openai_client.responses.stream(**asked) as stream:
        stream.until_done()
        assert stream.get_final_response().output[0].arguments == CALLED


def test_messages(anthropic_client):
    answer = anthropic_client.messages.create(model=QWEN, messages=MESSAGES, max_tokens=100)
    assert answer.content[0].text == OTHERWISE
    assert answer.stop_reason == "end_turn"
    with anthropic_client.messages.stream(model=QWEN, messages=MESSAGES, max_tokens=100) as stream:
        assert "".join(stream.text_stream) == OTHERWISE
        assert stream.get_final_message().stop_reason == "end_turn"
    assert anthropic_client.messages.count_tokens(model=QWEN, messages=MESSAGES).input_tokens == 5


def test_messages_call_tools(anthropic_client):
    tool = {"name": "forecast", "input_schema": PARAMETERS}
    asked = {"model": QWEN, "messages": MESSAGES, "max_tokens": 100, "tools": [tool], "tool_choice": {"type": "any"}}
    assert anthropic_client.messages.create(**asked).content[0].input == {"city": "Oslo", "days": 3}
    with anthropic_client.messages.stream(**asked) as stream:
        final = stream.get_final_message()
    assert final.content[0].input == {"city": "Oslo", "days": 3}
    assert final.stop_reason == "tool_use"


def test_embeddings(openai_client):
    numbers = openai_client.embeddings.create(model=QWEN, input=["a", "b"], encoding_format="float")
    packed = openai_client.embeddings.create(model=QWEN, input=["a", "b"])  # the client asks for base64 by itself
    assert [len(entry.embedding) for entry in numbers.data] == [8, 8]
    assert packed.data[1].embedding == pytest.approx(numbers.data[1].embedding, abs=1e-6)


def test_models(openai_client):
    assert {card.id for card in openai_client.models.list()} == {LLAMA, QWEN}


def test_an_unknown_model_is_not_found(upstream):
    client = openai.OpenAI(base_url=f"{upstream}/v1", api_key="any", max_retries=0)
    with client, pytest.raises(openai.NotFoundError, match="does not exist"):
        client.chat.completions.create(model="nope", messages=MESSAGES)


def test_the_passage_to_cut_is_spread_over_several_events(upstream):
    asked = [{"role": "user", "content": LETTER}]
    with openai.OpenAI(base_url=f"{upstream}/v1", api_key="any", max_retries=0) as client:
        stream = client.chat.completions.create(model=LLAMA, messages=asked, stream=True)
        pieces = [chunk.choices[0].delta.content or "" for chunk in stream]
    assert CUT_TEXT in "".join(pieces)
    assert not any(CUT_TEXT in piece for piece in pieces)
