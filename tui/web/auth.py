"""Authentication: a key in the address that is new at each start.

The key is exchanged for a cookie that scripts cannot read and other sites cannot use, and removed from
the address. All requests without key or cookie are refused, even for fonts. A browser opened by Discern
gets a separate key that works once, because other users of the machine can read its command line.

`Host` is checked against DNS rebinding, `Origin` against pages of other sites and ports. The browser
may not load anything from other sites (Content-Security-Policy). This does not protect against anyone
who can read this user's processes or files.

Sources: RFC 6265bis (cookies), RFC 6455 section 10.2 (Origin), CSP level 3.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

_RequestHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ADDRESS = "127.0.0.1"


class Authenticator:
    """The key of one server, and the checks of every request."""

    def __init__(self, port: int) -> None:
        self.hosts = (f"{ADDRESS}:{port}", f"localhost:{port}")
        self._key = secrets.token_urlsafe(32)
        self._once = ""
        self._used: set[str] = set()
        self._session = secrets.token_urlsafe(32)
        # Cookies ignore ports: two servers of one user need different names.
        self._cookie = f"discern-{port}"
        self.url = f"http://{self.hosts[0]}/?key={self._key}"

    def one_time_url(self) -> str:
        """Return an address that can be used for one login."""
        self._once = secrets.token_urlsafe(32)
        return f"http://{self.hosts[0]}/?key={self._once}"

    def refusal(self, request: web.Request) -> str | None:
        """Return why a request is refused; None if it is allowed."""
        if request.headers.getall("Host", []) not in [[host] for host in self.hosts]:
            return "this address is not the one that `discern web` printed"
        origins = request.headers.getall("Origin", [])
        if origins not in ([], [f"http://{request.host}"]):
            return "requests from other pages are not allowed"
        if not origins and request.headers.get("Upgrade"):
            return "only a page of this server may open a chat"
        if self.is_login(request):
            return self._wrong(request.query["key"])
        if not _same(request.cookies.get(self._cookie), self._session):
            return "the key is missing; open the address that `discern web` printed"
        return None

    def _wrong(self, key: str) -> str | None:
        if _same(key, self._key) or (self._once and _same(key, self._once)):
            return None
        if key in self._used:
            return (
                "this key was already used; if that was not you, stop `discern web`, otherwise open "
                "the address that it printed"
            )
        return "the key is wrong"

    @staticmethod
    def is_login(request: web.Request) -> bool:
        """Return whether a request has the key in its address."""
        return request.path == "/" and "key" in request.query

    def log_in(self, request: web.Request) -> web.Response:
        """Return the response to a login: the cookie, and a redirect to the address without the key."""
        if self._once and _same(request.query["key"], self._once):
            self._used.add(self._once)
            self._once = ""
        response = web.Response(status=303, headers={"Location": "/"})
        response.set_cookie(self._cookie, self._session, httponly=True, samesite="Strict", path="/")
        return response

    @property
    def guard(self) -> Middleware:
        """Check every request; an aiohttp middleware."""

        @web.middleware
        async def guard(request: web.Request, handler: _RequestHandler) -> web.StreamResponse:
            if why := self.refusal(request):
                return web.Response(status=403, text=f"Refused: {why}.\n")
            return self.log_in(request) if self.is_login(request) else await handler(request)

        return guard

    async def harden(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add security headers; for `on_response_prepare`."""
        # Not `request.host`: without a header it resolves this machine's name.
        host = request.headers.get("Host", "")
        socket = f"ws://{host}" if host in self.hosts else "'none'"
        response.headers.update(
            {
                "Content-Security-Policy": (
                    "default-src 'none'; script-src 'self'; font-src 'self'; img-src data:; "
                    # xterm.js writes its own style elements.
                    f"style-src 'self' 'unsafe-inline'; connect-src 'self' {socket}; "
                    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
                ),
                "Cache-Control": "no-store",
                "Cross-Origin-Opener-Policy": "same-origin",
                "Cross-Origin-Resource-Policy": "same-origin",
                "Referrer-Policy": "no-referrer",
                "X-Content-Type-Options": "nosniff",
            }
        )


def _same(given: str | None, wanted: str) -> bool:
    """Compare two secrets in constant time."""
    # Undecodable bytes become "?", which no secret contains.
    return secrets.compare_digest((given or "").encode(errors="replace"), wanted.encode())
