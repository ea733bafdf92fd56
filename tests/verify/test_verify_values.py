from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from aura_engine.core.model import Check, Phase, Verdict
from aura_engine.verify.run import Bench, run_check


async def reason(bench: Bench, checkout: Path, **fields) -> str:
    receipt = await run_check(Check(name="c", **fields), checkout, bench, tree="t", phase=Phase.GOAL)
    assert (receipt.verdict is Verdict.GREEN) == (receipt.reason in ("", "read as it was landed, not made again"))
    assert receipt.verdict is not Verdict.ERROR
    return receipt.reason


DATA = {"sharpe": 1.11, "a": {"list": [1, {"x": 5}]}, "word": "yes", "ok": True, "s": "2.5", "dot.ted": 3, "none": None}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"value": "sharpe", "at_least": 1.5}, "sharpe is 1.11, wanted ≥ 1.5"),
        ({"value": "sharpe", "at_least": 1.1, "at_most": 1.2}, ""),
        ({"value": "sharpe", "at_most": 1}, "sharpe is 1.11, wanted ≤ 1"),
        ({"value": "a.list[1].x", "equals": 5}, ""),
        ({"value": "a.list.0", "equals": 1}, ""),
        ({"value": "a.list[-1].x", "equals": 6}, "a.list[-1].x is 5, wanted 6"),
        ({"value": "word", "equals": "yes"}, ""),
        ({"value": "word", "equals": "no"}, "word is 'yes', wanted 'no'"),
        ({"value": "ok", "equals": True}, ""),
        ({"value": "ok", "at_least": 1}, "ok is 'true', which is not a number"),
        ({"value": "sharpe", "equals": True}, "sharpe is '1.11', wanted True"),
        ({"value": "s", "at_least": 1}, "s is '2.5', which is not a number"),
        ({"value": "dot.ted", "equals": 3}, ""),
        ({"value": "none", "at_least": 0}, "none is 'null', which is not a number"),
        ({"value": "a.list[7]", "at_least": 0}, "m.json has no “7” in a.list"),
        ({"value": "a.nope", "at_least": 0}, "m.json has no “nope” in a"),
        ({"value": "a.list", "at_least": 0}, "m.json holds a list there, not a value"),
    ],
)
async def test_json_values(fields, expected: str, checkout: Path, bench: Bench) -> None:
    (checkout / "m.json").write_text(json.dumps(DATA))
    assert await reason(bench, checkout, file="m.json", **fields) == expected


@pytest.mark.parametrize("text", ['{"x": NaN}', '{"x": Infinity}', '{"x": 1e999}', '{"x": -Infinity}'])
async def test_no_bound_is_met_by_nan_or_infinity(text: str, checkout: Path, bench: Bench) -> None:
    (checkout / "m.json").write_text(text)
    for bound in ({"at_least": -1e300}, {"at_most": 1e300}):
        assert "not a finite number" in await reason(bench, checkout, file="m.json", value="x", **bound)


@pytest.mark.parametrize("text", ["", "{", "[" * 200_000, '{"x": ' + "9" * 5000 + "}", "\0\xff"])
async def test_broken_json_is_red(text: str, checkout: Path, bench: Bench) -> None:
    (checkout / "m.json").write_text(text)
    assert (await reason(bench, checkout, file="m.json", value="x", at_least=0)).startswith("m.json ")


@pytest.mark.parametrize(
    ("value", "bound", "expected"),
    [
        ("loss", {"at_most": 0.1}, ""),
        ("loss[0]", {"at_most": 0.1}, "loss[0] is 0.9, wanted ≤ 0.1"),
        ("acc[max]", {"at_least": 0.9}, "acc[max] is 0.8, wanted ≥ 0.9"),
        ("acc[min]", {"equals": 0.5}, ""),
        ("name[-1]", {"equals": "last, one"}, ""),
        ("nope", {"at_least": 0}, "m.csv has no column “nope” (it has: name, loss, acc)"),
        ("loss[9]", {"at_least": 0}, "m.csv has no row 9 (3 rows)"),
        ("name", {"at_least": 0}, "name is 'last, one', which is not a number"),
        ("name[max]", {"at_least": 0}, "m.csv has a cell in “name” that is not a number"),
    ],
)
async def test_csv_values(value: str, bound, expected: str, checkout: Path, bench: Bench) -> None:
    (checkout / "m.csv").write_text('\ufeffname,loss,acc\na,0.9,0.5\nb,0.4,0.8\n\n"last, one",0.05,0.7\n')
    assert await reason(bench, checkout, file="m.csv", value=value, **bound) == expected


async def test_csv_with_nan_cells_and_other_delimiters(checkout: Path, bench: Bench) -> None:
    (checkout / "m.csv").write_text("a;b\n1;nan\n2;5\n")
    assert await reason(bench, checkout, file="m.csv", value="a", equals=2) == ""
    assert "not a number" in await reason(bench, checkout, file="m.csv", value="b[max]", at_least=1)
    (checkout / "empty.csv").write_text("a;b\n")
    assert await reason(bench, checkout, file="empty.csv", value="a", at_least=0) == "empty.csv has no rows"


async def test_text_values_and_patterns(checkout: Path, bench: Bench) -> None:
    (checkout / "log.txt").write_text("start\naccuracy: 93.5 %\n")
    text = {"file": "log.txt", "value": r"^accuracy: ([\d.]+)"}
    assert await reason(bench, checkout, **text, at_least=93) == ""
    assert await reason(bench, checkout, **text, at_least=95) == r"^accuracy: ([\d.]+) is 93.5, wanted ≥ 95"
    assert "exactly one group" in await reason(bench, checkout, file="log.txt", value="accuracy", at_least=1)
    assert await reason(bench, checkout, file="log.txt", matches="^accur") == ""
    assert await reason(bench, checkout, file="log.txt", matches="^nope") == "log.txt has nothing that matches /^nope/"
    assert "cannot be read" in await reason(bench, checkout, file="log.txt", matches="(")


async def test_a_pattern_that_never_ends_is_given_up(
    checkout: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aura_engine.verify.values._READ_LIMIT", 0.3)
    (checkout / "a.txt").write_text("a" * 5000 + "!")
    assert await reason(bench, checkout, file="a.txt", matches="^(a+)+$") == "a.txt took longer than 0.3 s to be read"


async def test_files(checkout: Path, bench: Bench, tmp_path: Path) -> None:
    (checkout / "some.txt").write_text("12345")
    assert await reason(bench, checkout, file="some.txt", min_bytes=5) == ""
    assert await reason(bench, checkout, file="some.txt", min_bytes=6) == "some.txt has 5 bytes, wanted at least 6"
    assert await reason(bench, checkout, file="out/none.txt") == "out/none.txt is missing"
    assert await reason(bench, checkout, file="some.txt/x") == "some.txt/x is missing: a part of its path is a file"
    (checkout / "folder").mkdir()
    assert await reason(bench, checkout, file="folder") == "folder is a folder, not a file"
    os.mkfifo(checkout / "pipe")
    assert await reason(bench, checkout, file="pipe", matches="x") == "pipe is a FIFO, not a file"
    (tmp_path / "outside.txt").write_text("x")
    (checkout / "out.txt").symlink_to(tmp_path / "outside.txt")
    assert await reason(bench, checkout, file="out.txt") == "out.txt leads out of the project"
    (checkout / "zero").symlink_to("/dev/zero")
    assert "leads out" in await reason(bench, checkout, file="zero")
    (checkout / "round").symlink_to("round")
    assert await reason(bench, checkout, file="round") != ""
    (checkout / "inner.txt").symlink_to("some.txt")
    assert await reason(bench, checkout, file="inner.txt", matches="^123") == ""
    with (checkout / "huge.bin").open("wb") as stream:
        stream.truncate(1 << 40)
    assert await reason(bench, checkout, file="huge.bin") == ""
    assert "larger than 20 MB" in await reason(bench, checkout, file="huge.bin", matches="x")


async def test_the_file_is_made_anew(checkout: Path, bench: Bench, tmp_path: Path) -> None:
    (checkout / "m.json").write_text('{"x": 9}')
    stale = await reason(bench, checkout, file="m.json", run="true", value="x", at_least=1)
    assert stale == "m.json is missing"
    made = {"file": "m.json", "value": "x", "at_least": 1, "run": "echo '{\"x\": 2}' > m.json"}
    assert await reason(bench, checkout, **made) == ""
    assert await reason(bench, checkout, **{**made, "run": made["run"] + "; exit 1"}) == "exit status 1"
    assert (
        await reason(bench, checkout, file="m.json", run="mkfifo m.json", matches="x") == "m.json is a FIFO, not a file"
    )
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "m.json").write_text("{}")
    (checkout / "out").symlink_to(victim)
    assert await reason(bench, checkout, file="out/m.json", run="true") == "out leads out of the project"
    assert (victim / "m.json").exists()


async def test_a_result_that_took_hours_is_read_as_landed(checkout: Path, bench: Bench) -> None:
    (checkout / "m.json").write_text('{"x": 9}')
    fields = {"file": "m.json", "run": "rm m.json", "reproduce": False, "value": "x", "at_least": 1}
    assert await reason(bench, checkout, **fields) == "read as it was landed, not made again"
    assert (checkout / "m.json").exists()
