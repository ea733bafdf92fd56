"""The tasks in the HTML report: their checks with receipts, attempts and diffs, folded."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from aura_engine.core.duration import span
from aura_engine.report.account_model import Account, AttemptAccount, CheckAccount, DiffAccount, TaskAccount
from aura_engine.report.final_markdown import VERDICTS
from aura_engine.report.patch import FilePatch, files_of
from aura_engine.report.words import amount, count

STATUS_TONE = {
    "completed": "good",
    "failed": "bad",
    "blocked": "held",
    "killed": "held",
    "in_progress": "live",
    "verifying": "live",
}
VERDICT_TONE = {"green": "good", "red": "bad", "flaky": "held", "error": "held"}


def verdict_tag(verdict: str, words: str = "") -> str:
    """A verdict as a coloured word."""
    tone = VERDICT_TONE.get(verdict, "wait")
    return f'<span class="tag {tone}">{escape(words or VERDICTS.get(verdict, verdict))}</span>'


def tasks_html(account: Account) -> str:
    """All of them in the order of the tree; groups are headings."""
    parts: list[str] = []
    for task in account.tasks:
        if task.group:
            parts.append(f'<div class="group">{escape(task.id)} {escape(task.title)}</div>')
        else:
            parts.append(_task(task))
    if account.tasks_left_out:
        parts.append(f'<p class="quiet">… and {count(account.tasks_left_out, "task")} more.</p>')
    return "\n".join(parts)


def checks_table(checks: Sequence[CheckAccount]) -> str:
    """A table of checks and their receipts; below a check that is not green why, and the end of its output."""
    heads = ("check", "verdict", "how", "exit", "tests", "took", "tree")
    names = [f"<th{' class=number' if number > 2 else ''}>{head}</th>" for number, head in enumerate(heads)]
    rows = [f"<tr>{''.join(names)}</tr>"]
    for check in checks:
        held = ' <span class="quiet">held out</span>' if check.held_out else ""
        values = (
            "" if check.exit_code is None else str(check.exit_code),
            "" if check.tests is None else str(check.tests),
            span(check.seconds) if check.verdict else "",
        )
        cells = "".join(f'<td class="number">{value}</td>' for value in values)
        rows.append(
            f"<tr><td>{escape(check.name)}{held}</td><td>{verdict_tag(check.verdict)}</td>"
            f"<td><code>{escape(check.how)}</code></td>{cells}"
            f'<td class="number"><code>{escape(check.tree[:8])}</code></td></tr>'
        )
        if check.reason and check.verdict != "green":
            output = f"<pre>{escape(check.output)}</pre>" if check.output.strip() else ""
            rows.append(f'<tr><td colspan="{len(heads)}">{escape(check.reason)}{output}</td></tr>')
    return f"<table>{''.join(rows)}</table>"


def _task(task: TaskAccount) -> str:
    tone = STATUS_TONE.get(task.status, "wait")
    words = "done" if task.status == "completed" else task.status.replace("_", " ")
    unproven = "" if task.proven else ' <span class="tag held">unproven</span>'
    inside = [f"<p>{escape(task.reason)}</p>"] if task.reason else []
    if task.checks:
        inside.append(f'<h4>Checks</h4><div class="scroll">{checks_table(task.checks)}</div>')
    if task.attempts:
        inside.append(f"<h4>Attempts</h4>{_attempts(task.attempts)}")
    if task.diff and (task.diff.patch or task.diff.cut):
        inside.append(f"<h4>What it changed</h4>{_diff(task.id, task.diff)}")
    opened = " open" if task.status in ("failed", "blocked", "killed") else ""
    return "\n".join(
        [
            f'<details class="task"{opened} id="{escape(task.id)}">',
            f'<summary><span class="id">{escape(task.id)}</span><span class="title">{escape(task.title)}</span>'
            f'<span class="sums">{_sums(task)}</span>{unproven}'
            f'<span class="tag {tone}">{escape(words)}</span></summary>',
            f'<div class="inside">{"".join(inside) or "<p>Nothing was done for it.</p>"}</div>',
            "</details>",
        ]
    )


def _sums(task: TaskAccount) -> str:
    """`3 attempts, +12 −3`."""
    parts = [count(len(task.attempts), "attempt")] if len(task.attempts) != 1 else []
    if task.diff and task.diff.files:
        added, removed = (sum(getattr(file, side) for file in task.diff.files) for side in ("added", "removed"))
        parts.append(_plus_minus(added, removed))
    return ", ".join(parts)


def _plus_minus(added: int, removed: int) -> str:
    minus = f' <span class="minus">−{removed}</span>' if removed else ""
    return f'<span class="plus">+{added}</span>{minus}'


def _attempts(attempts: Sequence[AttemptAccount]) -> str:
    rows: list[str] = []
    for attempt in attempts:
        tone = {"passed": "good", "": "live", "interrupted": "held", "conflict": "held"}.get(attempt.outcome, "bad")
        how = {"passed": "landed", "": "under way"}.get(attempt.outcome, attempt.outcome)
        took = span(attempt.ended - attempt.started) if attempt.ended else ""
        used = f"{amount(attempt.tokens)} tokens" if attempt.tokens else ""
        money = f"${attempt.cost:.2f}" if attempt.cost else ""
        why = f"{escape(attempt.why)}<br>" if attempt.why and attempt.outcome != "passed" else ""
        said = f'<span class="quiet">it said: {escape(attempt.said)}</span>' if attempt.said else ""
        rows.append(
            f"<tr><td>#{attempt.n}</td><td>{escape(attempt.role)} {escape(attempt.backend)}</td>"
            f'<td><span class="tag {tone}">{escape(how)}</span></td><td>{why}{said}</td>'
            f'<td class="number">{took}</td><td class="number">{used}</td><td class="number">{money}</td></tr>'
        )
    return f'<div class="scroll"><table>{"".join(rows)}</table></div>'


def _diff(task: str, diff: DiffAccount) -> str:
    parts = [_file(file) for file in files_of(diff.patch)]
    if diff.cut:
        parts.append(f'<p class="quiet">All that it changed: <code>aura diff {escape(task)}</code></p>')
    return "\n".join(parts)


def _file(file: FilePatch) -> str:
    what = f' <span class="quiet">{escape(file.what)}</span>' if file.what else ""
    kinds = {"+": "a", "-": "d", "@": "h"}
    lines = "".join(f'<span class="{kinds.get(line[:1], "")}">{escape(line)}</span>' for line in file.lines)
    lines = lines.replace(' class=""', "")
    head = f"<summary><code>{escape(file.path)}</code>{what} {_plus_minus(file.added, file.removed)}</summary>"
    return f'<details class="file">{head}<pre class="diff">{lines}</pre></details>'
