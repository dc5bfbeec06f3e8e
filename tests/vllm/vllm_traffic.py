"""Traffic that every deployment has to pass: each module subclasses Traffic and brings a ``stage``.

Without Guard the tiny model always says the same at temperature 0, so "served" means: the very same answer.
"""

import json
import time
import urllib.error
import urllib.request

import anthropic
import openai
import pytest

from guard.cli.demo_scene.scene import FORBIDDEN, GUIDE
from guard.cli.demo_scene.stage import LLAMA

HELLO = [{"role": "user", "content": "How many bridges are there?"}]
FORBIDDEN_MESSAGES = [{"role": "user", "content": FORBIDDEN}]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Oslo", "Bergen"]}},
    "required": ["city"],
    "additionalProperties": False,
}
FUNCTION = {"name": "forecast", "description": "The weather.", "parameters": SCHEMA, "strict": True}
TOOLS = [{"type": "function", "function": FUNCTION}]
CLOSED = (
    ("POST", "/invocations"),
    ("POST", "/generative_scoring"),
    ("POST", "/tokenize"),
    ("POST", "/inference/v1/generate"),
    ("POST", "/v1/chat/completions/render"),
    ("POST", "/v1/chat/completions/batch"),
    ("POST", "/scale_elastic_ep"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("GET", "/v1/responses/resp_1"),
    ("POST", "/%69nvocations"),
)
TEACHER = (
    {"logprobs": True},
    {"logprobs": True, "top_logprobs": 3},
    {"extra_body": {"prompt_logprobs": 0}},
    {"extra_body": {"echo": True}},
    {"logprobs": True, "extra_body": {"logprob_token_ids": [1, 2, 3]}},
    {"logit_bias": {"7": 100}},
    {"extra_body": {"return_token_ids": True}},
)


def send(url, body, content_type="application/json", method="POST"):
    """Send raw bytes and return (status, headers, JSON)."""
    request = urllib.request.Request(url, body, {"content-type": content_type}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, json.loads(error.read() or b"null")


def texts(chunks):
    """The text of each choice of a streamed chat."""
    found = {}
    for chunk in chunks:
        for choice in chunk.choices:
            found[choice.index] = found.get(choice.index, "") + (choice.delta.content or "")
    return [found[index] for index in sorted(found)]


def calls(completion):
    """Name and arguments of every tool call."""
    made = completion.choices[0].message.tool_calls
    return [(call.function.name, json.loads(call.function.arguments)) for call in made]


def cited(error):
    """The body of a refusal's error; it cites license, clause and category."""
    guard = error.body["guard"] if "guard" in error.body else error.body["error"]["guard"]
    assert all(guard[name] for name in ("reference", "license", "clause", "category"))
    return guard


def wait_for(happened, seconds=30):
    """Return after how many seconds it had."""
    began = time.monotonic()
    while not happened():
        assert time.monotonic() < began + seconds
        time.sleep(0.02)
    return time.monotonic() - began


class Traffic:
    def test_chat(self, openai_client, past_guard):
        asked = {"model": LLAMA, "messages": HELLO, "temperature": 0, "max_tokens": 60}
        expected = past_guard.chat.completions.create(**asked)
        answer = openai_client.chat.completions.create(**asked)
        assert answer.choices[0].message.content == expected.choices[0].message.content
        assert answer.usage == expected.usage
        streamed = openai_client.chat.completions.create(**asked, stream=True)
        assert texts(streamed) == [expected.choices[0].message.content]

    def test_choices(self, openai_client, past_guard):
        asked = {"model": LLAMA, "messages": HELLO, "seed": 5, "n": 3, "max_tokens": 30}
        expected = [choice.message.content for choice in past_guard.chat.completions.create(**asked).choices]
        answer = openai_client.chat.completions.create(**asked)
        assert [choice.message.content for choice in answer.choices] == expected
        assert texts(openai_client.chat.completions.create(**asked, stream=True)) == expected
        assert len(set(expected)) == 3

    def test_usage_of_a_stream(self, openai_client):
        asked = {"model": LLAMA, "messages": HELLO, "temperature": 0, "max_tokens": 8}
        wanted = {"stream": True, "stream_options": {"include_usage": True}}
        chunks = list(openai_client.chat.completions.create(**asked, **wanted))
        assert chunks[-1].usage.completion_tokens == 8

    @pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "forecast"}}])
    def test_tools(self, openai_client, past_guard, choice):
        # At temperature 0 the model would never stop adding white space between the tokens of its JSON.
        asked = {"model": LLAMA, "messages": HELLO, "temperature": 1, "seed": 1, "max_tokens": 400, "tools": TOOLS}
        asked["tool_choice"] = choice
        whole, streamed = [], []
        for client in (past_guard, openai_client):
            whole.append(calls(client.chat.completions.create(**asked)))
            with client.chat.completions.stream(**asked) as stream:
                streamed.append(calls(stream.get_final_completion()))
        assert whole[0] == whole[1]
        assert streamed[0] == streamed[1]
        assert {name for name, _ in whole[1] + streamed[1]} == {"forecast"}
        assert {arguments["city"] for _, arguments in whole[1] + streamed[1]} <= {"Oslo", "Bergen"}

    def test_structured_output(self, openai_client):
        wanted = {"type": "json_schema", "json_schema": {"name": "weather", "schema": SCHEMA}}
        asked = {"model": LLAMA, "messages": HELLO, "temperature": 0, "max_tokens": 60, "response_format": wanted}
        answer = openai_client.chat.completions.create(**asked).choices[0].message.content
        assert json.loads(answer)["city"] in {"Oslo", "Bergen"}
        assert texts(openai_client.chat.completions.create(**asked, stream=True)) == [answer]

    @pytest.mark.parametrize("prompt", ["a", ["a", "b"], [79, 76, 83], [[79, 76], [83]]])
    def test_completions_take_four_shapes_of_prompts(self, openai_client, past_guard, prompt):
        asked = {"model": LLAMA, "prompt": prompt, "temperature": 0, "max_tokens": 20}
        asked["extra_headers"] = {"x-guard-purpose": "evaluate"}  # several prompts are a bulk
        expected = [choice.text for choice in past_guard.completions.create(**asked).choices]
        assert [choice.text for choice in openai_client.completions.create(**asked).choices] == expected
        streamed = dict.fromkeys(range(len(expected)), "")
        for chunk in openai_client.completions.create(**asked, stream=True):
            for choice in chunk.choices:
                streamed[choice.index] += choice.text
        assert list(streamed.values()) == expected

    def test_responses(self, openai_client, past_guard):
        asked = {"model": LLAMA, "input": "How many bridges are there?", "temperature": 0, "max_output_tokens": 40}
        expected = past_guard.responses.create(**asked).output_text
        assert openai_client.responses.create(**asked).output_text == expected
        with openai_client.responses.stream(**asked) as stream:
            deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        # vLLM loses the last piece of a stream that its limit ends, so the stream is compared with vLLM's stream.
        with past_guard.responses.stream(**asked) as stream:
            unguarded = [event.delta for event in stream if event.type == "response.output_text.delta"]
        assert "".join(deltas) == "".join(unguarded)

    def test_messages(self, anthropic_client, past_guard):
        asked = {"model": LLAMA, "messages": HELLO, "max_tokens": 40, "extra_body": {"temperature": 0}}
        plain = {"model": LLAMA, "messages": HELLO, "max_tokens": 40, "temperature": 0}
        expected = past_guard.chat.completions.create(**plain).choices[0].message.content
        assert anthropic_client.messages.create(**asked).content[0].text == expected
        with anthropic_client.messages.stream(**asked) as stream:
            assert "".join(stream.text_stream) == expected
            assert stream.get_final_message().stop_reason == "max_tokens"
        counted = anthropic_client.messages.count_tokens(model=LLAMA, messages=HELLO)
        assert counted.input_tokens > 0

    def test_models(self, openai_client):
        assert LLAMA in {card.id for card in openai_client.models.list()}

    def test_an_error_of_vllm_reaches_the_client(self, openai_client):
        asked = {"model": LLAMA, "messages": [{"role": "user", "content": "word " * 20_000}]}
        with pytest.raises(openai.BadRequestError, match="context length"):
            openai_client.chat.completions.create(**asked)

    @pytest.mark.parametrize(("method", "path"), CLOSED)
    def test_closed_surfaces(self, stage, method, path):
        body = json.dumps({"model": LLAMA, "messages": HELLO}).encode() if method == "POST" else None
        status, headers, answer = send(stage.url + path, body, method=method)
        assert (status, answer["error"]["code"]) == (403, "surface_denied")
        assert headers["x-guard-reference"] == answer["error"]["guard"]["reference"]

    @pytest.mark.parametrize("fields", TEACHER)
    @pytest.mark.parametrize("stream", [False, True])
    def test_a_license_that_bars_training_gives_no_teacher(self, openai_client, fields, stream):
        with pytest.raises(openai.PermissionDeniedError) as refused:
            openai_client.chat.completions.create(model=LLAMA, messages=HELLO, stream=stream, **fields)
        assert refused.value.code == "field_denied"

    def test_what_vllm_reads_differently_is_malformed(self, stage):
        url, text = f"{stage.url}/v1/chat/completions", json.dumps({"model": LLAMA, "messages": HELLO, "n": 1})
        for body in (text[:-1].encode() + b', "n": 3}', text.encode("utf-16"), b"\xef\xbb\xbf" + text.encode()):
            status, _, answer = send(url, body)
            assert (status, answer["error"]["code"]) == (400, "malformed")

    def test_prompts_against_the_policy(self, openai_client, anthropic_client):
        calls = [
            lambda: openai_client.chat.completions.create(model=LLAMA, messages=FORBIDDEN_MESSAGES),
            lambda: openai_client.chat.completions.create(model=LLAMA, messages=FORBIDDEN_MESSAGES, stream=True),
            lambda: openai_client.completions.create(
                model=LLAMA, prompt=["hello", FORBIDDEN], extra_headers={"x-guard-purpose": "evaluate"}
            ),
            lambda: openai_client.responses.create(model=LLAMA, input=FORBIDDEN),
            lambda: anthropic_client.messages.create(model=LLAMA, messages=FORBIDDEN_MESSAGES, max_tokens=9),
        ]
        for call in calls:
            with pytest.raises((openai.PermissionDeniedError, anthropic.PermissionDeniedError)) as refused:
                call()
            assert cited(refused.value)["license"] == "llama-2"

    def test_answers_are_cut_in_every_dialect(self, openai_client, anthropic_client, stage):
        whole, messages = stage.truth[stage.cut_prompt], [{"role": "user", "content": stage.cut_prompt}]
        asked = {"model": LLAMA, "temperature": 0}
        chunks = list(openai_client.chat.completions.create(**asked, messages=messages, max_tokens=160, stream=True))
        released = texts(chunks)
        assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "content_filter"
        answer = openai_client.chat.completions.create(**asked, messages=messages, max_tokens=160).choices[0]
        assert answer.finish_reason == "content_filter"
        released.append(answer.message.content or "")
        with openai_client.responses.stream(**asked, input=stage.cut_prompt, max_output_tokens=160) as stream:
            released.append("".join(event.delta for event in stream if event.type == "response.output_text.delta"))
        with anthropic_client.messages.stream(
            model=LLAMA, messages=messages, max_tokens=160, extra_body={"temperature": 0}
        ) as stream:
            released.append("".join(stream.text_stream))
            assert stream.get_final_message().stop_reason == "refusal"
        assert stage.cut_text in whole
        assert [text for text in released if not whole.startswith(text) or stage.cut_text in text] == []
        assert len(set(released)) == 1, "the same text is released however it is asked for"

    def test_a_user_is_counted_once(self, stage, openai_client):
        def ask(user):
            asked = [{"role": "user", "content": GUIDE}]
            openai_client.chat.completions.create(model=LLAMA, messages=asked, user=user, max_tokens=2)

        ask("counted-0")
        before = users(stage)
        for number in (1, 2, 3, 1, 2, 3):
            ask(f"counted-{number}")
        assert users(stage) == before + 3
        with pytest.raises(openai.PermissionDeniedError):
            openai_client.chat.completions.create(model=LLAMA, messages=FORBIDDEN_MESSAGES, user="refused-1")
        assert users(stage) == before + 3


def users(stage):
    """Users of the Llama 2 license this month, once the spool has been written to the ledger."""
    deadline, settled = time.monotonic() + 30, False
    while True:
        report = json.loads(stage.run_guard("usage", "show", "--config", str(stage.config), "--json").stdout)
        row = next(
            (row for row in report["periods"][0]["licenses"] if row["license"] == "llama-2"),
            {"users": 0, "in_spool": 0},
        )
        if settled:  # a report taken while the last sightings moved may miss them; the one after it cannot
            return row["users"]
        assert time.monotonic() < deadline
        settled = row["in_spool"] == 0
