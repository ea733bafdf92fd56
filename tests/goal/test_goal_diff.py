from __future__ import annotations

from aura_engine.core.model import Check
from aura_engine.goal.diff import diff_checks, diff_text


def test_text_diff_names_what_changed():
    diff = diff_text("a\nb\nc\n", "a\nB\nc\n")
    assert diff.split("\n") == ["--- task.md (before)", "+++ task.md (now)", "@@ -1,3 +1,3 @@", " a", "-b", "+B", " c"]
    assert diff_text("a\n", "a\n") == ""


def test_a_long_diff_is_cut_at_a_line_and_says_so():
    diff = diff_text("", "".join(f"line {n}\n" for n in range(1000)), limit=200)
    body, last = diff.rsplit("\n", 1)
    kept = body.count("+line")
    assert len(body) <= 200
    assert body.endswith(f"+line {kept - 1}")
    assert last == f"… {1000 - kept} more changed lines are left out; read task.md"


def test_checks_by_name():
    def check(name: str, run: str) -> Check:
        return Check(name=name, run=run, person=True)

    old = [check("same", "a"), check("changed", "b"), check("gone", "c")]
    new = [check("changed", "B"), check("same", "a"), check("new", "d")]
    changes = diff_checks(old, new)
    assert [item.name for item in changes.added] == ["new"]
    assert [(before.run, after.run) for before, after in changes.changed] == [("b", "B")]
    assert [item.name for item in changes.removed] == ["gone"]
    assert changes
    assert not diff_checks(old, list(reversed(old)))
