"""An OAuth 2 authorization server on loopback, which takes the protocol at its word: PKCE, single use of codes and of
refresh tokens, and a family of tokens withdrawn when one is used twice."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

CLIENT_ID = "ksl-demo"
CLIENT_SECRET = "client-secret-of-the-demo"


@dataclass
class Authority:
    url: str
    lives_s: list[int] = field(default_factory=lambda: [3600])  # of tokens in turn; the last one stays
    denies: bool = False
    down: bool = False
    may_answer: threading.Event = field(default_factory=threading.Event)  # set, unless a test holds it back
    heard: threading.Event = field(default_factory=threading.Event)  # that a token was asked for
    codes: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    refresh_token: str | None = None  # the only one that is good
    withdrawn: bool = False
    issued: list[str] = field(default_factory=list[str])  # every token, to look for
    asked: list[str] = field(default_factory=list[str])  # grant types, in order
    lock: threading.Lock = field(default_factory=threading.Lock)

    def authorize(self, query: dict[str, str]) -> str:
        """Where the browser is sent."""
        assert query["response_type"] == "code"
        assert query["client_id"] == CLIENT_ID
        assert query["code_challenge_method"] == "S256"
        if self.denies:
            answer = {"error": "access_denied", "error_description": "Ada said no", "state": query["state"]}
        else:
            code = secrets.token_urlsafe(16)
            self.codes[code] = query
            answer = {"code": code, "state": query["state"]}
        return f"{query['redirect_uri']}?{urlencode(answer)}"

    def token(self, form: dict[str, str], authorization: str | None) -> tuple[int, dict[str, Any]]:
        self.heard.set()
        self.may_answer.wait(timeout=30)
        with self.lock:
            self.asked.append(form["grant_type"])
            if self.down:
                return 503, {}
            basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
            if authorization != f"Basic {basic}":
                return 401, {"error": "invalid_client"}
            if form["grant_type"] == "authorization_code":
                begun = self.codes.pop(form["code"], None)
                challenge = hashlib.sha256(form["code_verifier"].encode()).digest()
                expected = base64.urlsafe_b64encode(challenge).rstrip(b"=").decode()
                if begun is None or begun["code_challenge"] != expected:
                    return 400, {"error": "invalid_grant"}
                if begun["redirect_uri"] != form["redirect_uri"]:
                    return 400, {"error": "invalid_grant", "error_description": "another redirect"}
            elif self.withdrawn or form["refresh_token"] != self.refresh_token:
                self.withdrawn = True
                return 400, {"error": "invalid_grant", "error_description": "this token was used before"}
            return 200, self._issue()

    def _issue(self) -> dict[str, Any]:
        access, self.refresh_token = (
            f"access-{secrets.token_urlsafe(24)}",
            f"refresh-{secrets.token_urlsafe(24)}",
        )
        self.issued += [access, self.refresh_token]
        lives_s = self.lives_s.pop(0) if len(self.lives_s) > 1 else self.lives_s[0]
        return {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": lives_s,
            "refresh_token": self.refresh_token,
            "scope": "calendar.read",
        }


@contextmanager
def authority() -> Generator[Authority]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            self.send_response(302)
            self.send_header("Location", made.authorize(query))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            status, answer = made.token(form, self.headers.get("Authorization"))
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Authority(f"http://127.0.0.1:{server.server_port}")
    made.may_answer.set()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        made.may_answer.set()
        server.shutdown()
        thread.join()
        server.server_close()
