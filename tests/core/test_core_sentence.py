"""What a person is shown of a service's answer."""

from __future__ import annotations

import json

import pytest

from aura_engine.core.sentence import spoken

WRAPPED = {"error": {"message": json.dumps({"error": {"message": "No such model"}}), "code": 404}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"error": {"message": "Bad key", "type": "authentication_error"}}', "Bad key"),
        ('HTTP 401: {"type": "error", "error": {"type": "x", "message": "Bad key"}}', "HTTP 401: Bad key"),
        ('{"object": "error", "message": "No such model", "code": 404}', "No such model"),
        ('{"detail": "Not Found"}', "Not Found"),
        ('{"detail": [{"loc": ["body", "model"], "msg": "field required"}]}', "field required"),
        ('[{"error": {"code": 400, "message": "API key not valid"}}]', "API key not valid"),
        ('{"error": "quota exceeded"}', "quota exceeded"),
        ('API Error: 400 {"error": {"message": "Too long"}} (request x)', "API Error: 400 Too long (request x)"),
        ("Error code: 400 - {'error': {'message': 'Too long'}}", "Error code: 400 - Too long"),
        ('HTTP 400: {"error": {"message": "It is \\"cut\\" off in the mid', 'HTTP 400: It is "cut" off in the mid'),
        (json.dumps(WRAPPED), "No such model"),
        ("<html><head><title>502 Bad Gateway</title></head></html>", "502 Bad Gateway"),
        ('{"code": 7}', '{"code": 7}'),
        ('Unknown model {"id": 3} given', 'Unknown model {"id": 3} given'),
        ('{"error": {"message": "caf\\u00e9 is \\"cut', 'café is "cut'),
        ("plain words [A1] {x}", "plain words [A1] {x}"),
        ("", ""),
        ("[" * 5000, "[" * 5000),
    ],
)
def test_the_sentence_alone_is_shown(text: str, said: str) -> None:
    assert spoken(text) == said
