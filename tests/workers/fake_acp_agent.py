"""A program that speaks the Agent Client Protocol as real agents do; its first argument says how it behaves."""

from __future__ import annotations

import json
import sys
from pathlib import Path

OPTIONS = [
    {"optionId": "always", "kind": "allow_always", "name": "Always"},
    {"optionId": "once", "kind": "allow_once", "name": "Once"},
    {"optionId": "no", "kind": "reject_once", "name": "No"},
]


def send(**message: object) -> None:
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def receive() -> dict:
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    return json.loads(line)


def update(name: str, /, **fields: object) -> None:
    send(method="session/update", params={"sessionId": "s1", "update": {"sessionUpdate": name, **fields}})


def ask(method: str, params: dict) -> dict:
    """A request to the client, and its answer; the only thing that may come in between is none."""
    send(id="ask-1", method=method, params=params)
    return receive()


def work(prompt: dict) -> None:
    """Asks whether it may, writes what it was told into a file, and says so."""
    call = {"toolCallId": "t1", "title": "append to made.txt", "kind": "edit", "status": "pending"}
    call["locations"] = [{"path": str(Path("made.txt").absolute())}]
    answer = ask("session/request_permission", {"sessionId": "s1", "toolCall": call, "options": OPTIONS})
    if answer["result"] != {"outcome": {"outcome": "selected", "optionId": "once"}}:
        sys.exit(9)
    with Path("made.txt").open("a") as file:
        file.write(prompt["params"]["prompt"][0]["text"] + "\n")
    update("tool_call_update", toolCallId="t1", status="completed", content=[])
    say("I made it.")


def say(text: str) -> None:
    for piece in text.split(" "):
        update("agent_message_chunk", content={"type": "text", "text": piece + " "}, messageId="m1")


def end(prompt: dict, stop: str = "end_turn") -> None:
    usage = {"inputTokens": 100, "outputTokens": 7, "cachedReadTokens": 30, "totalTokens": 137}
    send(id=prompt["id"], result={"stopReason": stop, "usage": usage})


def turn(how: str, prompt: dict) -> None:
    match how:
        case "gate":
            update("tool_call", toolCallId="t0", title="wait", kind="execute", status="in_progress")
            Path("gate").read_text()  # a FIFO
            update("tool_call_update", toolCallId="t0", status="completed")
            work(prompt)
            end(prompt)
        case "steer":
            update("tool_call", toolCallId="t0", title="wait", kind="execute", status="in_progress")
            message = receive()
            end(prompt)
            Path("gate").read_text()
            work(message)
            end(message)
        case "curious":
            for method in ("fs/read_text_file", "terminal/create", "x/new"):
                assert ask(method, {"sessionId": "s1"})["error"]["code"] == -32601
            work(prompt)
            end(prompt)
        case "limit":
            send(id=prompt["id"], error={"code": -32603, "message": "Internal error", "data": {"details": how_bad()}})
        case _:
            work(prompt)
            end(prompt)


def how_bad() -> str:
    return "429 Rate limit reached. Please try again in 20 minutes."


def main() -> None:
    how = sys.argv[1]
    while True:
        message = receive()
        match message["method"]:
            case "initialize":
                name = "OpenCode" if how == "steer" else "fake"
                version = 2 if how == "version" else 1
                send(id=message["id"], result={"protocolVersion": version, "agentInfo": {"name": name, "version": "1"}})
            case "session/new" if how == "login":
                send(id=message["id"], error={"code": -32000, "message": "Please choose how to sign in"})
            case "session/new":
                send(id=message["id"], result={"sessionId": "s1"})
            case "session/prompt":
                turn(how, message)


main()
