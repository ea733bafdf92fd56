"""The planner's look at the web: pages and a search. What comes back is data, never an instruction.

The planner can be talked into asking for any address, so each is resolved here, refused unless all of its addresses
are public ones, and then connected to under exactly the address that was checked: a name that answers differently the
second time changes nothing. The same holds for every redirect.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urljoin, urlsplit, urlunsplit

from aura_engine.core.text import clean, one_line
from aura_engine.planner.page import text_of

if TYPE_CHECKING:
    import httpx2

SEARCH_URL = "https://api.tavily.com/search"
MAX_URL = 2000
MAX_REDIRECTS = 5
MAX_BYTES = 1_000_000
"""Of a page, unpacked: more is cut off, however small it came."""
MAX_TEXT = 20_000
"""Characters that the planner is shown."""
MAX_RESULTS = 8
LIMIT = 30.0
"""Seconds for a whole page or search, redirects and all."""
TEXTUAL = ("text/", "application/json", "application/xml", "application/xhtml", "application/javascript")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Name and port → addresses."""


class WebError(ValueError):
    """It cannot be fetched; the text says why, for the model."""


@dataclass(frozen=True)
class Page:
    """What an address gave."""

    url: str
    """After redirects."""
    text: str
    cut: bool


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a name as the system has them. WebError when it has none."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise WebError(f"there is no host {one_line(host, 80)}") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(address: str) -> bool:
    """Whether an address belongs to the internet at large: not to this machine, its network, or a cloud's metadata."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(str(inner))
    if any(ip in each for each in _NOT_PUBLIC if each.version == ip.version):
        return False
    return ip.is_global and not ip.is_multicast


_NOT_PUBLIC = tuple(map(ipaddress.ip_network, ("fec0::/10", "64:ff9b:1::/48", "::/96", "192.88.99.0/24")))
"""Left over from older rules of the internet, or ways around into IPv4: nobody publishes there."""
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Web:
    """Fetches and searches. `allowed` decides on an address; tests let their own servers in."""

    def __init__(
        self,
        search_key: str = "",
        *,
        resolver: Resolver = resolve,
        allowed: Callable[[str], bool] = is_public,
        search_url: str = SEARCH_URL,
        limit: float = LIMIT,
    ) -> None:
        self.can_search = bool(search_key)
        self._key = search_key
        self._resolve = resolver
        self._allowed = allowed
        self._search_url = search_url
        self._limit = limit

    async def fetch(self, url: str) -> Page:
        """A page as text. WebError when it is refused, cannot be had, or is no text."""
        try:
            async with asyncio.timeout(self._limit), _client() as client:
                return await self._follow(client, url)
        except TimeoutError:
            raise WebError(f"it took longer than {self._limit:g} s") from None

    async def search(self, query: str) -> str:
        """What a search finds: title, address and an extract each. WebError."""
        body = {"query": query, "max_results": MAX_RESULTS, "search_depth": "basic"}
        headers = {"authorization": f"Bearer {self._key}"}
        try:
            async with asyncio.timeout(self._limit), _client() as client:
                response = await self._send(client, self._search_url, method="POST", json=body, headers=headers)
                async with aclosing(response):
                    if response.status_code != 200:
                        raise WebError(f"the search said HTTP {response.status_code}")
                    raw, _ = await _body(response)
        except TimeoutError:
            raise WebError(f"the search took longer than {self._limit:g} s") from None
        return _results(raw)

    async def _follow(self, client: httpx2.AsyncClient, url: str) -> Page:
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._send(client, url)
            async with aclosing(response):
                if response.status_code in _REDIRECTS and "location" in response.headers:
                    url = urljoin(url, response.headers["location"])
                    continue
                if response.status_code >= 400:
                    raise WebError(f"{one_line(url, 200)} said HTTP {response.status_code}")
                kind = response.headers.get("content-type", "text/plain").lower()
                if not kind.startswith(TEXTUAL):
                    raise WebError(f"{one_line(url, 200)} is {one_line(kind, 60)}, not text")
                raw, cut = await _body(response)
                text = await asyncio.to_thread(_read, raw, response.charset_encoding or "utf-8", "html" in kind)
                return Page(url, text[:MAX_TEXT], cut or len(text) > MAX_TEXT)
        raise WebError(f"it redirects more than {MAX_REDIRECTS} times")

    async def _send(self, client: httpx2.AsyncClient, url: str, *, method: str = "GET", **more: Any) -> httpx2.Response:
        """One request, to the address that was checked."""
        import httpx2

        pinned, host, address = await self._checked(url)
        headers = {**more.pop("headers", {}), "host": host}
        name = {"sni_hostname": address}
        try:
            request = client.build_request(method, pinned, headers=headers, extensions=name, **more)
            return await client.send(request, stream=True)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            raise WebError(f"{one_line(host, 80)} cannot be reached: {one_line(str(error), 200)}") from None

    async def _checked(self, url: str) -> tuple[str, str, str]:
        """(the URL with its checked address, the host's header, its bare name). WebError."""
        if len(url) > MAX_URL:
            raise WebError(f"the address is longer than {MAX_URL} characters")
        try:
            parts = urlsplit(url.strip())
            port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
        except ValueError:
            raise WebError(f"“{one_line(url, 200)}” is no address") from None
        try:
            host = parts.hostname or ""
            host = host if host.isascii() else host.encode("idna").decode()
        except UnicodeError:
            raise WebError(f"there is no host {one_line(url, 80)}") from None
        if parts.scheme not in ("http", "https") or not host:
            raise WebError("only addresses that begin with http:// or https:// can be fetched")
        if parts.username or parts.password:
            raise WebError("an address with a name or a password in it is not fetched")
        addresses = await self._resolve(host, port)
        if not addresses or not all(self._allowed(each) for each in addresses):
            raise WebError(f"{one_line(host, 80)} is not on the public internet")
        pin = f"[{addresses[0]}]" if ":" in addresses[0] else addresses[0]
        named = f"[{host}]" if ":" in host else host
        pinned = urlunsplit((parts.scheme, f"{pin}:{port}", parts.path or "/", parts.query, ""))
        return pinned, named if parts.port is None else f"{named}:{port}", host


def _client() -> httpx2.AsyncClient:
    import httpx2

    # No proxy of the environment's: it would be asked for the name again.
    return httpx2.AsyncClient(
        trust_env=False,
        follow_redirects=False,
        timeout=httpx2.Timeout(LIMIT),
        headers={"user-agent": "Aura (planner)", "accept": "text/html,text/*;q=0.9,*/*;q=0.1"},
    )


async def _body(response: httpx2.Response) -> tuple[bytes, bool]:
    """What it holds, unpacked as it comes and never more than is wanted; whether something was cut off."""
    import httpx2

    found = bytearray()
    try:
        async for chunk in response.aiter_bytes(65_536):
            found += chunk
            if len(found) > MAX_BYTES:
                return bytes(found[:MAX_BYTES]), True
    except httpx2.HTTPError as error:
        raise WebError(f"the answer broke off: {one_line(str(error), 200)}") from None
    return bytes(found), False


def _read(raw: bytes, charset: str, html: bool) -> str:
    try:
        text = raw.decode(charset, "replace")
    except LookupError:
        text = raw.decode("utf-8", "replace")
    return clean(text_of(text) if html else text)


def _results(raw: bytes) -> str:
    import json

    try:
        rows = cast("list[dict[str, Any]]", json.loads(raw)["results"])
        lines = [
            f"{one_line(str(row.get('title', '')), 200)}\n{one_line(str(row.get('url', '')), 500)}\n"
            f"{one_line(str(row.get('content', '')), 800)}"
            for row in rows[:MAX_RESULTS]
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WebError("the search's answer cannot be understood") from error
    return "\n\n".join(lines) or "nothing was found"
