"""Who used how many tokens: `aura token-stats`, `aura cache-stats`, `token_stats.jsonl`."""

from __future__ import annotations

from collections.abc import Sequence

from aura_engine.core.model import Usage
from aura_engine.core.state import RunState
from aura_engine.core.text import dollars, one_line
from aura_engine.report.models import UsageRow
from aura_engine.report.words import amount

PLANNER = "planner"


def usage_rows(state: RunState) -> list[UsageRow]:
    """The planner first, then each role and backend; of workers those that have ended."""
    attempts = [attempt for task in state.leaves() for attempt in task.attempts]
    rows = [usage_row(PLANNER, state.planner_requests, state.planner_usage)]
    for role, backend in sorted({(attempt.role.value, attempt.backend) for attempt in attempts}, reverse=True):
        theirs = [each.usage for each in attempts if (each.role.value, each.backend) == (role, backend)]
        rows.append(usage_row(f"{role} {one_line(backend, 40)}", len(theirs), sum(theirs, Usage())))
    return rows


def usage_row(who: str, calls: int, usage: Usage) -> UsageRow:
    """One row."""
    read = usage.input + usage.cache_read + usage.cache_write
    return UsageRow(
        who=who,
        calls=calls,
        input=usage.input,
        output=usage.output,
        cache_read=usage.cache_read,
        cache_write=usage.cache_write,
        cost=round(usage.cost, 6),
        cached_percent=round(100 * usage.cache_read / read, 1) if read else 0.0,
    )


def total_of(rows: Sequence[UsageRow]) -> UsageRow:
    """All rows as one."""
    parts = ("input", "output", "cache_read", "cache_write", "cost")
    usage = Usage.model_validate({part: sum(getattr(row, part) for row in rows) for part in parts})
    return usage_row("all", sum(row.calls for row in rows), usage)


def token_table(rows: Sequence[UsageRow]) -> str:
    """Tokens and money, one line each and their sum."""
    head = ("who", "calls", "read", "cached", "written", "cost")
    cells = [
        (
            row.who,
            str(row.calls),
            amount(row.input + row.cache_write),
            amount(row.cache_read),
            amount(row.output),
            dollars(row.cost) if row.cost else "-",
        )
        for row in (*rows, total_of(rows))
    ]
    return table(head, cells)


def cache_table(rows: Sequence[UsageRow]) -> str:
    """How much of what was read came from the providers' caches."""
    head = ("who", "from cache", "read anew", "put in", "cached")
    cells = [
        (
            row.who,
            amount(row.cache_read),
            amount(row.input),
            amount(row.cache_write),
            f"{row.cached_percent:.0f} %" if row.input + row.cache_read + row.cache_write else "-",
        )
        for row in (*rows, total_of(rows))
    ]
    return table(head, cells)


def table(head: tuple[str, ...], cells: Sequence[tuple[str, ...]]) -> str:
    """Columns: the first to the left, figures to the right."""
    widths = [max(len(row[at]) for row in (head, *cells)) for at in range(len(head))]

    def line(row: tuple[str, ...]) -> str:
        first, *figures = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        return "  ".join([first, *(figure.strip().rjust(len(figure)) for figure in figures)]).rstrip()

    return "\n".join(line(row) for row in (head, *cells))
