"""Default deny: a path is served if a parser reads it, and refused otherwise, by name where it has one."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.exchange.refusal import Code
from guard.wire.refusals import anthropic_shape, openai_shape
from guard.wire.surfaces import PASSTHROUGH, REFUSED, SURFACES, Passthrough, Refused, Surface, error_shape, match

ALWAYS = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "completions",
    "/v1/responses": "responses",
    "/v1/messages": "messages",
    "/v1/messages/count_tokens": "count_tokens",
}
OPTIONAL = {
    "/v1/chat/completions/batch": "batch",
    "/v1/embeddings": "embeddings",
    "/v2/embed": "embeddings",
    "/pooling": "pooling",
    "/score": "score",
    "/v1/score": "score",
    "/rerank": "rerank",
    "/v1/rerank": "rerank",
    "/v2/rerank": "rerank",
    "/classify": "classify",
    "/tokenize": "tokenize",
    "/detokenize": "detokenize",
}
KNOWN = {*SURFACES, *PASSTHROUGH, *REFUSED}


@pytest.mark.parametrize("path", ALWAYS)
def test_inference_surfaces_are_always_open(path):
    surface = match("POST", path)
    assert isinstance(surface, Surface)
    assert (surface.name, surface.optional) == (ALWAYS[path], None)


@pytest.mark.parametrize("path", OPTIONAL)
def test_other_surfaces_have_the_name_a_policy_opens_them_by(path):
    surface = match("POST", path)
    assert isinstance(surface, Surface)
    assert (surface.name, surface.optional) == (OPTIONAL[path], OPTIONAL[path])
    assert OPTIONAL[path] in surface.closed().message


def test_a_surface_has_both_halves_of_its_dialect():
    for path, surface in SURFACES.items():
        for half in (surface.parse, surface.screen, surface.open_stream, surface.refusal):
            assert callable(half), path
    inquiry = match("POST", "/v1/chat/completions").parse({"messages": [{"role": "user", "content": "hello"}]})
    assert (inquiry.surface, inquiry.segments[0].text) == ("chat", "hello")


@pytest.mark.parametrize("path", ["/v1/models", "/health", "/version", "/ping"])
def test_a_few_gets_pass_through(path):
    assert isinstance(match("GET", path), Passthrough)
    for method in ("POST", "HEAD", "OPTIONS", "get"):
        refused = match(method, path)
        assert isinstance(refused, Refused)
        assert (refused.status, refused.allow) == (405, "GET")


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "OPTIONS", "post", ""])
def test_inference_by_another_method_is_refused(method):
    for path in SURFACES:
        refused = match(method, path)
        assert isinstance(refused, Refused)
        assert (refused.status, refused.allow, refused.denial.code) == (405, "POST", Code.SURFACE_DENIED)


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/invocations", "SageMaker"),
        ("/generative_scoring", "probabilities"),
        ("/inference/v1/generate", "token ids"),
        ("/v1/chat/completions/render", "Rendering"),
        ("/v1/completions/derender", "Rendering"),
        ("/v1/responses/resp_123", "Stored"),
        ("/v1/responses/resp_123/cancel", "Stored"),
        ("/collective_rpc", "weights"),
        ("/v1/load_lora_adapter", "adapters"),
        ("/v1/realtime", "audio"),
        ("/load", "Details"),
    ],
)
def test_known_capabilities_are_refused_by_name(path, word):
    for method in ("GET", "POST"):
        refused = match(method, path)
        assert isinstance(refused, Refused)
        assert word in refused.reason
        assert (refused.denial.status, refused.denial.code) == (403, Code.SURFACE_DENIED)


@pytest.mark.parametrize("path", sorted({*SURFACES, *PASSTHROUGH}))
def test_other_spellings_of_a_path_are_other_paths(path):
    for other in (path + "/", "/" + path, path.upper(), path.replace("/", "//"), path[1:], path + "?a=1", path + ";x",
                  path + "\0", "/." + path, path.replace("/v1/", "/%761/") + "%20"):  # fmt: skip
        assert isinstance(match("POST", other), Refused)
        assert isinstance(match("GET", other), Refused)


@settings(max_examples=100)
@given(
    st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND"]),
    st.one_of(
        st.text(max_size=20),
        st.lists(st.sampled_from(["v1", "v2", "chat", "completions", "", "..", "models", "responses"]), max_size=5).map(
            lambda parts: "/" + "/".join(parts)
        ),
        st.tuples(st.sampled_from(sorted(KNOWN)), st.text(string.printable, min_size=1, max_size=3)).map("".join),
    ),
)
def test_any_unknown_path_is_refused(method, path):
    found = match(method, path)
    if path not in {*SURFACES, *PASSTHROUGH}:
        assert isinstance(found, Refused)
        assert found.denial.code is Code.SURFACE_DENIED
        assert found.reason


def test_errors_have_the_shape_of_their_path():
    for path, surface in SURFACES.items():
        assert error_shape(path) is surface.refusal
    assert error_shape("/v1/messages") is error_shape("/v1/messages/render") is anthropic_shape
    assert error_shape("/v1/messagesx") is error_shape("/nothing") is openai_shape


def test_a_stripped_store_is_sent_as_false():
    surface = match("POST", "/v1/responses")
    inquiry = surface.parse({"input": "hello", "store": True})
    del inquiry.document["store"]
    assert surface.encode(inquiry.document) == b'{"input":"hello","store":false}'
