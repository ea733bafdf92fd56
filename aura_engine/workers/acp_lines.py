"""The lines of the Agent Client Protocol (JSON-RPC 2.0): those sent, in one form only, and what its errors say."""

from __future__ import annotations

import json
from typing import Any

from acp import schema
from acp.meta import AGENT_METHODS, PROTOCOL_VERSION
from pydantic import BaseModel

from aura_engine.workers.stream import table_of, text_of

INITIALIZE, NEW, RESUME, LOAD, MODE, PROMPT = range(1, 7)
"""Ids of the requests that a session takes."""
FIRST_MESSAGE = 1001
"""Id of the first message of a person's; the next ones follow."""
METHOD_NOT_FOUND = -32601
AUTH_REQUIRED = -32000


def first_line() -> str:
    """The request that opens a connection. It offers no files and no terminals: an agent uses tools of its own."""
    files = schema.FileSystemCapabilities(read_text_file=False, write_text_file=False)
    asked = schema.InitializeRequest(
        protocol_version=PROTOCOL_VERSION,
        client_capabilities=schema.ClientCapabilities(fs=files, terminal=False),
        client_info=schema.Implementation(name="aura", version="0"),
    )
    return request(INITIALIZE, AGENT_METHODS["initialize"], asked)


def request(number: int, method: str, params: BaseModel) -> str:
    """A request as a line."""
    return line({"id": number, "method": method, "params": plain(params)})


def line(message: dict[str, Any]) -> str:
    """A message as a line: the same one for the same message, and in ASCII."""
    return json.dumps({"jsonrpc": "2.0", **message}, sort_keys=True, separators=(",", ":")) + "\n"


def plain(model: BaseModel) -> dict[str, Any]:
    """A message's part as the protocol writes it."""
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def words(error: dict[str, Any]) -> str:
    """An error's message with what its data adds."""
    data = error.get("data")
    more = table_of(data)
    added = next((more[name] for name in ("details", "message", "error") if more.get(name)), None if more else data)
    message = text_of(error.get("message") or error)
    return text_of(f"{message}: {text_of(added)}" if added and text_of(added) not in message else message)
