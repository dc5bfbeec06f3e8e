"""Refusals as the official clients read them."""

import json
import sys

import anthropic
import openai
import pytest

from guard.exchange.refusal import Code, Refusal
from guard.wire import refusals
from guard.wire.dialect import Malformed

REFUSAL = Refusal(
    403,
    Code.LICENSE_TERMS,
    "Not under this license.",
    license="llama-3.1",
    clause="1.b.v",
    category=None,
    reference="r1",
)
FACTS = {"reference": "r1", "license": "llama-3.1", "clause": "1.b.v", "category": None}


def raised(client, shape, status, code=Code.AUP):
    """The exception of ``client`` for a refusal, through the client's own error parsing."""
    status, headers, body = refusals.render(Refusal(status, code, "No.", reference="r1"), shape)
    request = client._client.build_request("POST", "http://127.0.0.1/v1/x")
    library = sys.modules[type(request).__module__.partition(".")[0]]  # httpx or httpx2, as the client's version has it
    response = library.Response(status, headers=headers, content=body, request=request)
    return client._make_status_error_from_response(response)


@pytest.fixture(scope="module")
def openai_client():
    return openai.OpenAI(api_key="x", base_url="http://127.0.0.1:9/v1")


@pytest.fixture(scope="module")
def anthropic_client():
    return anthropic.Anthropic(api_key="x", base_url="http://127.0.0.1:9")


def test_the_openai_shape_is_the_public_contract():
    assert refusals.openai_shape(REFUSAL) == {
        "error": {
            "message": "Not under this license.",
            "type": "permission_error",
            "param": None,
            "code": "license_terms",
            "guard": FACTS,
        }
    }


def test_the_anthropic_shape_is_the_public_contract():
    assert refusals.anthropic_shape(REFUSAL) == {
        "type": "error",
        "error": {
            "type": "permission_error",
            "message": "Not under this license.",
            "code": "license_terms",
            "guard": FACTS,
        },
        "request_id": "r1",
    }


@pytest.mark.parametrize(
    ("status", "kind", "type_"),
    [
        (400, "BadRequestError", "invalid_request_error"),
        (401, "AuthenticationError", "authentication_error"),
        (403, "PermissionDeniedError", "permission_error"),
        (405, "APIStatusError", "invalid_request_error"),
        (413, "APIStatusError", "invalid_request_error"),
        (429, "RateLimitError", "rate_limit_error"),
        (502, "InternalServerError", "server_error"),
        (503, "InternalServerError", "server_error"),
        (504, "InternalServerError", "server_error"),
    ],
)
def test_the_openai_client_raises_the_right_exception(openai_client, status, kind, type_):
    error = raised(openai_client, refusals.openai_shape, status)
    assert type(error) is getattr(openai, kind)
    assert (error.status_code, error.code, error.type) == (status, "aup", type_)
    assert error.body["guard"]["reference"] == "r1"
    assert "No." in str(error)


@pytest.mark.parametrize(
    ("status", "kind", "type_"),
    [
        (400, "BadRequestError", "invalid_request_error"),
        (401, "AuthenticationError", "authentication_error"),
        (403, "PermissionDeniedError", "permission_error"),
        (413, "APIStatusError", "request_too_large"),
        (429, "RateLimitError", "rate_limit_error"),
        (502, "InternalServerError", "api_error"),
        (503, "APIStatusError", "overloaded_error"),
        (504, "APIStatusError", "timeout_error"),
    ],
)
def test_the_anthropic_client_raises_the_right_exception(anthropic_client, status, kind, type_):
    error = raised(anthropic_client, refusals.anthropic_shape, status)
    assert isinstance(error, getattr(anthropic, kind))
    assert error.status_code == status
    assert error.body["error"]["type"] == type_
    assert error.body["error"]["guard"]["reference"] == "r1"


@pytest.mark.parametrize("code", Code)
def test_every_code_is_sent_as_it_is_published(code):
    _, _, body = refusals.render(Refusal(403, code, "No."), refusals.openai_shape)
    assert json.loads(body)["error"]["code"] == code.value


@pytest.mark.parametrize(
    ("status", "extra"),
    [
        (400, {}),
        (401, {b"www-authenticate": b"Bearer"}),
        (405, {b"allow": b"POST"}),
        (429, {b"retry-after": b"5"}),
        (503, {b"retry-after": b"5"}),
    ],
)
def test_headers(status, extra):
    got, headers, body = refusals.render(
        Refusal(status, Code.AUP, "Não.", reference="r1"), refusals.openai_shape, "POST"
    )
    assert got == status
    assert dict(headers) == {
        b"content-type": b"application/json",
        b"content-length": str(len(body)).encode(),
        b"x-guard-reference": b"r1",
        **extra,
    }
    assert len(headers) == len(dict(headers))


def test_a_malformed_body_says_where_what_and_what_is_allowed():
    refusal = refusals.refusal_from(Malformed("messages[0].role", "5", "a string"))
    assert (refusal.status, refusal.code) == (400, Code.MALFORMED)
    assert refusal.message == "messages[0].role: found 5; allowed: a string"
