"""The matrix of the conformance lab: what each worker backend makes of each behaviour. Read it as documentation.

A row is a behaviour, told as the steps that the worker plays (fake_worker.py), and how its run is said to have ended:
for every backend alike, or, in `but`, otherwise for some. `cannot` gives the reason where a behaviour cannot be had.
What each kind of ending leads to stands in ROUTES.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from lab_rows import (
    AT_START,
    AT_THE_END,
    BEGIN,
    IN_THE_MIDDLE,
    WORK,
    Clock,
    Moment,
    Row,
    api,
    days_from_now,
    every,
    limit,
    reason,
)

from aura_engine.core.model import EndKind, Outcome

BACKENDS = ("claude", "codex", "qwencode", "opencode", "acp", "builtin", "ds_code", "command")
TEXT = ("ds_code", "command")
"""Those whose output is plain text: only exit status and words tell."""
SAYS = "I made it."

DONE = ("finish", SAYS)
NO_CALLS = "plain text tells neither model calls nor tool calls"
NO_REFUSAL = "its tools ask nobody, and it has no sandbox of its own in force"
SOON = Moment(datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2))
LATER = days_from_now(3, 9, "America/New_York")


FINISHED = (
    Row("success", EndKind.FINISHED, (BEGIN, WORK, DONE)),
    Row("lie: claims success and did nothing", EndKind.FINISHED, (BEGIN, DONE)),
    Row("success after failing tools", EndKind.FINISHED, (BEGIN, ("turn",), ("turn", "-x"), WORK, DONE)),
    Row("unknown events", EndKind.FINISHED, (BEGIN, ("new",), WORK, ("new",), DONE)),
    Row("unknown events after its last word", EndKind.FINISHED, (BEGIN, WORK, DONE, ("new",), ("exit", 0))),
    Row("bytes that are no text", EndKind.FINISHED, (BEGIN, ("bytes",), WORK, DONE)),
    Row("a line of 3 MB", EndKind.FINISHED, (BEGIN, ("long", 3 << 20), WORK, DONE)),
    Row("deep nesting", EndKind.FINISHED, (BEGIN, ("deep", 50_000), WORK, DONE)),
    Row("a flood of lines", EndKind.FINISHED, (BEGIN, ("flood", 5_000), WORK, DONE)),
    Row("warnings on stderr", EndKind.FINISHED, (BEGIN, ("stderr", "401 invalid api key (old)"), WORK, DONE)),
    Row(
        "half a line after its last word",
        EndKind.FINISHED,
        (BEGIN, WORK, DONE, ("cut", "and"), ("exit", 0)),
    ),
)

GIVEN_UP = (
    Row(
        "gives up",
        EndKind.GAVE_UP,
        (BEGIN, ("give_up", "It cannot be done.")),
        but=every(EndKind.FINISHED, "claude", "qwencode", "opencode", *TEXT),  # they have no word for it: checks decide
    ),
    Row(
        "out of turns by its own count",
        EndKind.OUT_OF_TURNS,
        (BEGIN, ("turn",), ("turn", "2"), ("turn", "3"), ("turns",)),
        turns=3,
        cannot=reason("it counts no turns itself", "codex", "opencode") | reason(NO_CALLS, *TEXT),
    ),
    Row(
        "goes on for ever: out of turns by ours",
        EndKind.OUT_OF_TURNS,
        (BEGIN, ("chatter",)),
        turns=3,
        cannot=reason(NO_CALLS, *TEXT),
    ),
    Row(
        "goes on for ever: out of time",
        EndKind.OUT_OF_TIME,
        (BEGIN, ("chatter",)),
        turns=1_000_000,
        budget=0.5,
        words="still running after",
    ),
    Row(
        "the same call with the same result for ever",
        EndKind.LOOPING,
        (BEGIN, ("loop",)),
        turns=1_000_000,
        words="the same call",
        cannot=reason(NO_CALLS, *TEXT),
    ),
    Row(
        "permission refused",
        EndKind.PERMISSION,
        (BEGIN, ("refused",)),
        cannot=reason(NO_REFUSAL, "codex", "qwencode", "builtin"),
    ),
)

SERVICE = (
    api("401: a wrong key", EndKind.CREDENTIALS, 401, "invalid x-api-key"),
    api("403: not allowed", EndKind.CREDENTIALS, 403, "Request not allowed"),
    Row("no key and no login", EndKind.CREDENTIALS, (BEGIN, ("no_login",))),
    Row(
        "refuses the key again and again",
        EndKind.OVERLOADED,
        (BEGIN, ("storm", 401)),
        words="HTTP status 401",
        cannot=reason("it does not try again", "qwencode", "opencode", "acp", "builtin")
        | reason("plain text tells no tries", *TEXT),
    ),
    api("402: no money", EndKind.MONEY, 402, "Insufficient Balance"),
    api("400: no credit", EndKind.MONEY, 400, "Your credit balance is too low to access the Anthropic API."),
    Row(
        "429: the quota is used up",
        EndKind.MONEY,
        (BEGIN, ("limit", "You exceeded your current quota, please check your billing.", "insufficient_quota")),
    ),
    api("429 without a time", EndKind.RATE_LIMIT, 429, "Too many requests, slow down"),
    api("529: overloaded", EndKind.OVERLOADED, 529, "Overloaded"),
    api("500: its own fault", EndKind.OVERLOADED, 500, "Internal server error"),
    api("nobody there", EndKind.UNREACHABLE, 0, "Unable to connect: connection refused (ECONNREFUSED)"),
    api("400: a bad request", EndKind.BAD_REQUEST, 400, "bad request: max_tokens is too large"),
    api("404: no such model", EndKind.BAD_REQUEST, 404, "model: nosuch was not found: model not found"),
    api("400: the context is full", EndKind.CONTEXT_OVERFLOW, 400, "prompt is too long: 250000 tokens"),
    Row(
        "an error of the service, and exit status 0",
        EndKind.CREDENTIALS,
        (BEGIN, ("fail", 401, "invalid x-api-key"), ("exit", 0)),
        but=every(EndKind.FINISHED, *TEXT),  # nothing else tells: the checks decide
    ),
    Row(
        "words that nobody knows",
        EndKind.CRASHED,
        (BEGIN, ("fail", 0, "The fair-use allowance of this plan has been consumed.")),
        cannot=reason("whatever a service answers has a status", "builtin"),
    ),
    Row(
        "words that nobody knows, as 429",
        EndKind.RATE_LIMIT,
        (BEGIN, ("fail", 429, "The fair-use allowance of this plan has been consumed.")),
    ),
)

LIMIT = (
    limit("try again in 20 minutes", "Rate limit reached. Please try again in 20 minutes.", 1200.0),
    limit(
        "in days, hours and minutes",
        "You've hit your usage limit, try again in 3 days 2 hours 15 minutes.",
        267_300.0,
    ),
    limit("5-hour limit, by the clock", "5-hour limit reached ∙ resets 3pm (UTC)", Clock(15, "UTC")),
    limit(
        "session limit, in another zone",
        "You've hit your session limit · resets 11pm (Asia/Tokyo)",
        Clock(23, "Asia/Tokyo"),
    ),
    limit("weekly limit, by date", f"Weekly limit reached ∙ resets {LATER:%b %-d} at 9am (America/New_York)", LATER),
    limit("by epoch", f"Claude AI usage limit reached|{SOON.when.timestamp():.0f}", SOON),
    limit("by time stamp", f"Quota exceeded; it resets at {SOON:%Y-%m-%dT%H:%M:%SZ}", SOON),
    limit("without a time", "Resource has been exhausted (e.g. check quota): rate limit", None),
)

BROKEN = (
    Row("no last word, exit status 0", EndKind.CRASHED, (BEGIN, WORK, ("exit", 0)), but=every(EndKind.FINISHED, *TEXT)),
    Row("no last word, exit status 1", EndKind.CRASHED, (BEGIN, WORK, ("exit", 1))),
    Row("says nothing, exit status 0", EndKind.CRASHED, (("exit", 0),), but=every(EndKind.FINISHED, *TEXT)),
    Row("success, and exit status 1", EndKind.CRASHED, (BEGIN, WORK, DONE, ("exit", 1))),
    Row(
        "half a line as its last word",
        EndKind.CRASHED,
        (BEGIN, WORK, ("half", SAYS), ("exit", 0)),
        but=every(EndKind.FINISHED, *TEXT),
    ),
    Row("half a line, exit status 1", EndKind.CRASHED, (BEGIN, ("half", SAYS), ("exit", 1))),
    Row("crash on an address", EndKind.CRASHED, (BEGIN, WORK, ("die", "SIGSEGV")), words="signal 11"),
    Row("crash on an assertion", EndKind.CRASHED, (BEGIN, ("turn",), ("die", "SIGABRT")), words="signal 6"),
    Row("killed from outside", EndKind.OUT_OF_MEMORY, (BEGIN, WORK, ("die", "SIGKILL")), words="signal 9"),
    Row("words on stderr only", EndKind.CREDENTIALS, (("stderr", "Error: Invalid API key"), ("exit", 1))),
    Row("a stack trace on stderr only", EndKind.CRASHED, (("stderr", "RangeError: x\n  at y"), ("exit", 1))),
    Row("exit status 127", EndKind.MISSING_CLI, (("stderr", "env: node: not found"), ("exit", 127))),
    Row("exit status 126", EndKind.MISSING_CLI, (("stderr", "cannot execute"), ("exit", 126))),
    Row("its program is not there", EndKind.MISSING_CLI, (), program="/nowhere/worker", words="/nowhere/worker"),
    Row("vanished with the machine", EndKind.LOST, (BEGIN, WORK, ("hang",)), words="its worker is gone"),
)

HANGS = (
    Row("hangs at its start", EndKind.HUNG, (("hang",),), limits=AT_START, words="no output at all"),
    Row("hangs in the middle", EndKind.HUNG, (BEGIN, WORK, ("hang",)), limits=IN_THE_MIDDLE, words="no file changed"),
    Row(
        "hangs after its last word",
        EndKind.FINISHED,
        (BEGIN, WORK, DONE, ("hang",)),
        limits=AT_THE_END,
        cannot=reason("plain text has no last word: it is hung in the middle", *TEXT),
    ),
    Row(
        "hangs after its last word and hears no signal",
        EndKind.FINISHED,
        (BEGIN, ("deaf",), WORK, DONE, ("hang",)),
        limits=AT_THE_END,
        cannot=reason("plain text has no last word: it is hung in the middle", *TEXT),
    ),
    Row(
        "hangs after an error of the service",
        EndKind.MONEY,
        (BEGIN, ("fail", 402, "Insufficient Balance"), ("hang",)),
        limits=AT_THE_END,
        cannot=reason("plain text has no last word: it is hung in the middle", *TEXT),
    ),
    Row(
        "a silent build",
        EndKind.FINISHED,
        (BEGIN, ("child", 1.6), WORK, DONE),
        limits=IN_THE_MIDDLE,
    ),
)

STOPS = (
    Row("stopped in the middle of a tool", EndKind.KILLED, (BEGIN, ("child", 600)), stop=True, words="by you"),
    Row("stopped, and hears no signal", EndKind.KILLED, (BEGIN, ("deaf",), ("hang",)), stop=True, words="by you"),
    Row(
        "stopped, and a child had left it",
        EndKind.KILLED,
        (BEGIN, ("orphan",), ("deaf",), ("hang",)),
        stop=True,
        words="by you",
    ),
    Row("done, and a long job of its own goes on", EndKind.FINISHED, (BEGIN, ("child", 0.8, "hand over"), DONE)),
    Row("done, and calls a stranger's process a long job", EndKind.FINISHED, (BEGIN, WORK, ("claim", 1), DONE)),
    Row("done, and a child goes on that had left it", EndKind.FINISHED, (BEGIN, WORK, ("orphan",), DONE)),
    Row("crashed, and a child goes on", EndKind.CRASHED, (BEGIN, ("orphan",), ("die", "SIGSEGV"))),
)

MATRIX = (*FINISHED, *GIVEN_UP, *SERVICE, *LIMIT, *BROKEN, *HANGS, *STOPS)

BACKOFF = "flash again in 5 s, the role parked; person, the role parked after 12"
AGAIN = "flash again in 1 s; planner after 3"
PERSON = "person, the role parked"
ROUTES: dict[EndKind, tuple[Outcome, str]] = {
    EndKind.FINISHED: (Outcome.PASSED, "its work is checked"),
    EndKind.GAVE_UP: (Outcome.CAPABILITY, "pro again; planner after 4"),
    EndKind.OUT_OF_TURNS: (Outcome.CAPABILITY, "flash again; planner after 5"),
    EndKind.LOOPING: (Outcome.CAPABILITY, "flash again; planner after 5"),
    EndKind.OUT_OF_TIME: (Outcome.BUDGET, "planner"),
    EndKind.CONTEXT_OVERFLOW: (Outcome.RESOURCE, "flash again; planner after 2"),
    EndKind.OUT_OF_MEMORY: (Outcome.RESOURCE, "flash again; planner after 2"),
    EndKind.OVER_LIMIT: (Outcome.RESOURCE, "flash again; planner after 2"),
    EndKind.OVER_CAP: (Outcome.BUDGET, "planner"),
    EndKind.RUN_CAPPED: (Outcome.INTERRUPTED, "wait"),
    EndKind.CREDENTIALS: (Outcome.INFRASTRUCTURE, PERSON),
    EndKind.MONEY: (Outcome.INFRASTRUCTURE, PERSON),
    EndKind.MISSING_CLI: (Outcome.INFRASTRUCTURE, PERSON),
    EndKind.RATE_LIMIT: (Outcome.INFRASTRUCTURE, BACKOFF),  # where a time is said, parked until then
    EndKind.OVERLOADED: (Outcome.INFRASTRUCTURE, BACKOFF),
    EndKind.UNREACHABLE: (Outcome.INFRASTRUCTURE, BACKOFF),
    EndKind.BAD_REQUEST: (Outcome.INFRASTRUCTURE, AGAIN),
    EndKind.PERMISSION: (Outcome.INFRASTRUCTURE, AGAIN),
    EndKind.CRASHED: (Outcome.INFRASTRUCTURE, AGAIN),
    EndKind.HUNG: (Outcome.INFRASTRUCTURE, AGAIN),
    EndKind.KILLED: (Outcome.INTERRUPTED, "wait"),
    EndKind.LOST: (Outcome.INTERRUPTED, "flash again; planner after 3"),
}
"""Kind of ending → its outcome, and what follows when every attempt ends like that: the first time, and at last.
(Mode flash-first, three charged attempts a role.)"""
