from __future__ import annotations

import os
from pathlib import Path

import pytest

from aura_engine.core.model import Counts
from aura_engine.verify import junit

BOMB = """<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;&lol;&lol;">
]><testsuites><testsuite><testcase name="&lol2;"/></testsuite></testsuites>"""
EXTERNAL = """<?xml version="1.0"?><!DOCTYPE x SYSTEM "file:///etc/passwd"><testsuite><testcase/></testsuite>"""


def read(tmp_path: Path, text: str, encoding: str = "utf-8") -> Counts | None:
    (tmp_path / "r.xml").write_text(text, encoding=encoding)
    return junit.read_report(tmp_path / "r.xml")


def test_cases_are_counted_not_the_totals_the_report_claims(tmp_path: Path) -> None:
    text = """<testsuites><testsuite tests="99" failures="0"><testcase><failure>x</failure></testcase>
    <testcase><error/><skipped/></testcase><testcase><skipped/></testcase><testcase><system-out/></testcase></testsuite>
    <testsuite><testcase/></testsuite></testsuites>"""
    assert read(tmp_path, text) == Counts(tests=5, failures=2, skipped=1)
    assert read(tmp_path, "<testsuite/>") == Counts(tests=0, failures=0, skipped=0)


@pytest.mark.parametrize("text", [BOMB, EXTERNAL, "", "<testsuite><testcase/>", "not xml", "<a/><b/>"])
def test_what_is_not_a_plain_whole_report_counts_for_nothing(text: str, tmp_path: Path) -> None:
    assert read(tmp_path, text) is None


def test_an_entity_bomb_in_another_encoding_is_refused_too(tmp_path: Path) -> None:
    plain = "<?xml version='1.0' encoding='utf-16'?><testsuite><testcase/></testsuite>"
    assert read(tmp_path, plain, "utf-16") == Counts(tests=1, failures=0, skipped=0)
    assert read(tmp_path, BOMB.replace('"1.0"', '"1.0" encoding="utf-16"'), "utf-16") is None


def test_size_kind_and_absence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(junit, "MAX_BYTES", 100_000)
    assert read(tmp_path, f"<testsuite>{'<testcase/>' * 10_000}</testsuite>") is None
    assert junit.read_report(tmp_path / "none.xml") is None
    os.mkfifo(tmp_path / "pipe.xml")
    assert junit.read_report(tmp_path / "pipe.xml") is None
    (tmp_path / "real").mkdir()
    (tmp_path / "real/r.xml").write_text("<testsuite><testcase/></testsuite>")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/link.xml").symlink_to(tmp_path / "real/r.xml")
    assert junit.read_report(tmp_path / "sub/link.xml") is None
