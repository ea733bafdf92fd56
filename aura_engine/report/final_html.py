"""The final report as one self-contained HTML page: nothing is fetched, no script runs, every text is escaped."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from html import escape

from aura_engine.report.account_model import Account
from aura_engine.report.final_markdown import figures, local, outcome
from aura_engine.report.html_tasks import checks_table, tasks_html, verdict_tag
from aura_engine.report.timeline import legend, timeline_svg
from aura_engine.report.usage import total_of
from aura_engine.report.words import amount
from aura_engine.resources import report_style

TONES = {"achieved": "good", "failed": "bad", "running": "live"}
TAGS = {"achieved": "Goal achieved", "failed": "Goal not achieved", "needs_person": "You are needed"}


def final_html(account: Account) -> str:
    """The whole page; the same account gives the same text."""
    style = "\n" + report_style().strip() + "\n"
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    # The page holds text of workers and models: even if one slipped through, nothing could be fetched or run.
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    title = escape(account.title)
    body = [
        _head(account),
        _section("What was not done, and why", _undone(account)),
        _section("What was wanted", _wanted(account)),
        _section("The goal’s checks", _card(checks_table(account.goal_checks)) if account.goal_checks else ""),
        _section("When it happened", _timeline(account)),
        _section("The tasks", tasks_html(account)),
        _section("Decided without you", _alone(account)),
        _section("What it cost", _cost(account)),
        _section("The goal", _goal(account)),
    ]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="referrer" content="no-referrer">',
            f"<title>{title}</title>",
            f"<style>{style}</style>",
            "</head>",
            f'<body class="{TONES.get(account.status, "held")}">',
            "<main>",
            *(part for part in body if part),
            f"<footer>Written by Aura from the run’s journal{_when(account)}. {escape(account.task_file)}</footer>",
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )


def prose(text: str) -> str:
    """Text with what stands between backticks as code."""
    return re.sub(r"`([^`\n]+)`", r"<code>\1</code>", escape(text))


def _when(account: Account) -> str:
    return f", {escape(local(account.ended))}" if account.ended else " while it runs"


def _section(title: str, inside: str) -> str:
    return f"<section>\n<h2>{title}</h2>\n{inside}\n</section>" if inside else ""


def _card(inside: str) -> str:
    return f'<div class="card scroll">{inside}</div>'


def _head(account: Account) -> str:
    tag = TAGS.get(account.status, account.status.replace("_", " ").capitalize())
    told = outcome(account).partition(": ")[2]
    numbers = "".join(
        f"<div><b>{escape(value)}</b><span>{escape(what)}</span></div>" for value, what in figures(account)
    )
    rows = [("result", account.place), ("take it", account.take), ("started", local(account.started))]
    rows += [("ended", local(account.ended))]
    place = "".join(
        f"<dt>{name}</dt><dd>{f'<code>{escape(value)}</code>' if name == 'take it' else escape(value)}</dd>"
        for name, value in rows
        if value
    )
    return "\n".join(
        [
            "<header>",
            f'<span class="outcome">{escape(tag)}</span>',
            f"<h1>{escape(account.title)}</h1>",
            f'<p class="lead">{escape(told)}</p>' if told else "",
            f'<div class="figures">{numbers}</div>',
            f'<dl class="place">{place}</dl>',
            "</header>",
        ]
    )


def _list(rows: Iterable[str]) -> str:
    items = "\n".join(f"<li>{row}</li>" for row in rows)
    return f'<div class="card"><ul class="plain">\n{items}\n</ul></div>' if items else ""


def _undone(account: Account) -> str:
    return _list(
        f'<b>{escape(each.what)}</b><br><span class="quiet">{escape(each.why)}</span>' for each in account.undone
    )


def _wanted(account: Account) -> str:
    goal = f"<p>{prose(account.final_goal)}</p>\n" if account.final_goal else ""
    rows = _list(
        f"{verdict_tag('green' if each.holds else 'red', 'holds' if each.holds else 'does not hold')} "
        f'{prose(each.text)} <span class="quiet">({escape(", ".join(each.checks))})</span>'
        for each in account.criteria
    )
    return goal + rows if account.criteria else goal


def _timeline(account: Account) -> str:
    picture = timeline_svg(account)
    if not picture:
        return ""
    used = [kind for kind in ("good", "bad", "held", "live") if f'class="bar {kind} ' in picture]
    edit = "<span>dashed: the goal was edited</span>" if account.edits else ""
    pale = "<span>pale: Flash, full: Pro</span>"
    return f'<div class="card scroll">{picture}\n<div class="legend">{legend(used)}{pale}{edit}</div></div>'


def _alone(account: Account) -> str:
    return _list(
        f"<time>{escape(local(each.time)[11:])}</time>The {escape(each.who)} {escape(each.what)}"
        + (f'<br><span class="quiet">{escape(each.why)}</span>' if each.why else "")
        for each in account.alone
    )


def _cost(account: Account) -> str:
    names = ("calls", "read", "cached", "written", "cost")
    head = "".join(f'<th class="number">{name}</th>' for name in names)
    rows: list[str] = []
    total = total_of(account.usage)
    for row in (*account.usage, total):
        money = f"${row.cost:.2f}" if row.cost else "–"
        values = (
            str(row.calls),
            amount(row.input + row.cache_write),
            amount(row.cache_read),
            amount(row.output),
            money,
        )
        cells = "".join(f'<td class="number">{value}</td>' for value in values)
        rows.append(f"<tr{' class=sum' if row is total else ''}><td>{escape(row.who)}</td>{cells}</tr>")
    return _card(f"<table><thead><tr><th>who</th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>")


def _goal(account: Account) -> str:
    if not account.goal:
        return ""
    note = f'<p class="quiet">As it stands after {account.revisions} revisions.</p>' if account.revisions > 1 else ""
    return f"{note}<pre>{escape(account.goal)}</pre>"
