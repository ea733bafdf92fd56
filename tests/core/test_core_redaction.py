"""Secrets out of text: known ones in every form they travel in, others by their shape, ordinary text untouched."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_engine.core.redaction import MARK, Redactor, Stream, is_secret

KEY = 'zq7-Kx/9+w"Tt\\03=pLm'
SHAPED = {
    "anthropic": "sk-ant-api03-abcdefghij0123456789_ABCDE",
    "openai": "sk-proj-abcdefghij0123456789ABCDEFGHIJ",
    "github": "ghp_" + "a1B2" * 9,
    "github fine": "github_pat_" + "a1B2" * 10,
    "gitlab": "glpat-" + "a1B2" * 6,
    "slack": "xoxb-123456789012-abcdefghij",
    "amazon": "AKIAIOSFODNN7EXAMPLE",
    "google": "AIza" + "b3C" * 11 + "xy",
    "hugging face": "hf_" + "a1B2" * 8,
    "token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
    "private key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nabc\n-----END RSA PRIVATE KEY-----",
}


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("after", ["", "x", "and more"])
def test_a_known_secret_is_found_in_every_form(before, after):
    redactor = Redactor([KEY])
    around = ("p" * before).encode() + KEY.encode() + after.encode()
    coded = base64.b64encode(around).decode()
    forms = [KEY, json.dumps({"a": KEY}), quote(KEY), quote(KEY, safe="")]
    for form in [*forms, coded, base64.urlsafe_b64encode(around).decode()]:
        told = redactor(f"before {form} after")
        assert MARK in told, form
        assert "Kx" not in told
        assert redactor(told) == told  # once and for all
    assert redactor.count >= 6


@pytest.mark.parametrize("name", SHAPED)
def test_what_looks_like_a_key_is_taken_out(name):
    redactor = Redactor()
    told = redactor(f"key={SHAPED[name]} and more")
    assert told == f"key={MARK} and more"
    assert redactor.touches(SHAPED[name])
    assert redactor(f"Authorization: Bearer {SHAPED['token']}").endswith(MARK)
    assert redactor("authorization: bearer abc123def456ghi789jkl") == f"authorization: bearer {MARK}"


@pytest.mark.parametrize(
    "text",
    [
        "the sk-learn package and a bearer of news",
        "task-0123456789 risk-free sk-something-quite-long-without-digits",
        "commit 4b825dc642cb6eb9a060e54bf8d69288fbee4904",
        "a ghost in ghp_ form, eyJ and AKIA alone",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "Bearer: the person who bears",
    ],
)
def test_ordinary_text_stays(text):
    assert Redactor(["EMPTY", "placeholder", "demo", "k"])(text + " EMPTY placeholder demo k") == (
        text + " EMPTY placeholder demo k"
    )


def test_words_that_stand_for_no_key_are_no_secrets():
    assert not any(is_secret(word) for word in ("", "k", "EMPTY", "not-needed", "sk-no-key", "ollama"))
    assert is_secret("abc12345")
    assert is_secret("abcdefghijklmnopqrstuvwx")


def test_values_keep_their_form_and_what_is_carried_out_keeps_its_shapes():
    redactor = Redactor([KEY])
    check = {"run": f"grep {SHAPED['amazon']} {KEY}", "name": SHAPED["amazon"], "timeout": 3.0}
    told = redactor.value({"checks": [check], KEY: (None, True)})
    assert told == {
        "checks": [{"run": f"grep {SHAPED['amazon']} {MARK}", "name": MARK, "timeout": 3.0}],
        MARK: [None, True],
    }


@given(st.lists(st.integers(1, 40), max_size=60), st.integers(0, 3))
def test_a_stream_finds_a_secret_however_it_is_cut(cuts, which):
    secret = [KEY, SHAPED["openai"], SHAPED["private key"], SHAPED["token"]][which]
    text = f"one line\n{{'key': '{secret}'}}\nlast line without an end"
    redactor = Redactor([KEY])
    stream, out, at = Stream(redactor), "", 0
    for cut in cuts:
        out += stream.feed(text[at : at + cut])
        at += cut
    out += stream.feed(text[at:]) + stream.close()
    assert out == text.replace(secret, MARK)
    assert stream.touched


def test_a_stream_holds_back_no_more_than_it_has_to():
    stream = Stream(Redactor([KEY]))
    assert stream.feed("whole line\nhalf") == "whole line\n"
    long = "x" * 1_000_000
    assert len(stream.feed(long)) > 990_000
    assert not stream.touched


@pytest.mark.parametrize("end", ["\n", "\\n"], ids=["lines", "one line of JSON"])
@pytest.mark.parametrize("piece", [100, 4096, 5000, 1 << 18])
def test_a_long_private_key_is_one_however_it_is_cut(end, piece):
    key = end.join(
        ["-----BEGIN PGP PRIVATE KEY BLOCK-----", *["lQdGBGZ1ab7" * 6] * 300, "-----END PGP PRIVATE KEY BLOCK-----"]
    )
    text = f"before{end}{key}{end}after"
    stream = Stream(Redactor())
    out = "".join(stream.feed(text[at : at + piece]) for at in range(0, len(text), piece)) + stream.close()
    assert out == f"before{end}{MARK}{end}after"


def test_a_key_that_never_ends_is_not_held_back_for_ever():
    stream = Stream(Redactor())
    assert stream.feed("-----BEGIN RSA PRIVATE KEY-----\n") == ""
    assert stream.feed("x" * 60 + "\n") == ""
    assert stream.feed("y" * 100_000).startswith(MARK)


@pytest.mark.parametrize(
    "unit",
    ["sk-", "sk_", "-eyJ", "eyJaaaaaaaa.", f"eyJ{'a' * 900}.", "Bearer ", "-----BEGIN ", "-----BEGIN A PRIVATE KEY"],
)
def test_what_only_begins_like_a_key_costs_no_more_than_its_length(unit):
    """Quadratic, these 300 kB take minutes."""
    text = unit * (300_000 // len(unit))
    assert len(Redactor([KEY])(text)) <= len(text)
