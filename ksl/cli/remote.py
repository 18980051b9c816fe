"""The client of a running server, over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import httpx

from ksl.cli.client import ENDED, NOTHING, Begun, HookTarget, Which
from ksl.cli.output import Json
from ksl.cli.problems import problem
from ksl.engine.strict_json import check
from ksl.errors import ServerUnreachable, StoreUnopenable, Unauthorised

if TYPE_CHECKING:
    from ksl.engine.many import Verb

# How long the first POST may wait for the end of a run: many end within it, and no other is kept waiting by it.
FIRST_WAIT = "100ms"
# The server sends a comment every few seconds; a stream that is silent for longer has lost its server.
SILENT_S = 60.0
RECONNECT_S = 0.2
BURST_S = 0.02


class RemoteClient:
    carries_on = True

    def __init__(self, url: str, token: str | None) -> None:
        self.url = url.rstrip("/")
        headers = {"Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        # trust_env off: a proxy set for the web must not see the token of a server on this machine.
        self.http = httpx.AsyncClient(
            base_url=self.url, headers=headers, timeout=httpx.Timeout(60.0, connect=5.0), trust_env=False
        )

    async def aclose(self) -> None:
        await self.http.aclose()

    async def login_link(self) -> Json:
        """`{"url", "expires_at"}`: opens the console once."""
        return await self._json("POST", "/login-links")

    async def workflows(self) -> Json:
        return await self._json("GET", "/workflows")

    async def run(self, run_id: str, *, include: frozenset[str] = NOTHING) -> Json:
        params = {"include": ",".join(sorted(include))} if include else {}
        return await self._json("GET", f"/runs/{_part(run_id)}", params=params)

    async def runs(
        self,
        *,
        workflow: str | None,
        status: str | None,
        since: str | None,
        query: str | None,
        limit: int,
        cursor: str | None,
    ) -> Json:
        asked = {
            "workflow": workflow,
            "status": status,
            "since": since,
            "q": query,
            "limit": limit,
            "cursor": cursor,
        }
        return await self._json("GET", "/runs", params={k: v for k, v in asked.items() if v is not None})

    async def canvas(self, slug: str, *, run_id: str, expand: bool) -> Json:
        asked = {"run": run_id, "expand": expand}
        return await self._json("GET", f"/workflows/{_part(slug)}/canvas", params=asked)

    async def events(self, run_id: str, *, after: int = 0) -> Json:
        return await self._json("GET", f"/runs/{_part(run_id)}/events", params={"after": after})

    async def position(self, run_id: str, seq: int | None) -> Json:
        params = {} if seq is None else {"seq": seq}
        return await self._json("GET", f"/runs/{_part(run_id)}/position", params=params)

    async def hooks(self, *, run_id: str | None = None) -> Json:
        return await self._json("GET", "/hooks", params={"run_id": run_id} if run_id else {})

    async def start(self, workflow: str, input: bytes, *, idempotency_key: str | None, detach: bool) -> Begun:
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        # Without ?wait the status tells a new run (202) from a repeated key (200).
        at_once = detach or idempotency_key is not None
        answer = await self._send(
            "POST",
            f"/workflows/{_part(workflow)}",
            params={} if at_once else {"wait": FIRST_WAIT},
            headers={"Content-Type": "application/json", **headers},
            content=input,
        )
        run = self._parsed(answer)
        return Begun(run["run_id"], run["status"], created=not (at_once and answer.status_code == 200))

    async def settled(self, run_id: str, enough: Callable[[Json], bool]) -> Json:
        changed = asyncio.Event()

        async def listen() -> None:
            async for _ in self._stream(run_id, after=0):
                changed.set()

        listening = asyncio.create_task(listen())
        listening.add_done_callback(lambda _: changed.set())
        try:
            while not enough(run := await self.run(run_id)):
                if listening.done():
                    listening.result()
                    await asyncio.sleep(RECONNECT_S)
                await changed.wait()
                # Events that come in a burst are one question.
                await asyncio.sleep(BURST_S)
                changed.clear()
            return run
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    def follow(self, run_id: str, *, text: bool = False) -> AsyncIterator[Json]:
        return self._stream(run_id, after=0, text=text)

    async def cancel(self, run_id: str, *, reason: str, force: bool) -> None:
        await self._json("POST", f"/runs/{_part(run_id)}/cancel", json={"reason": reason, "force": force})

    async def retry(self, run_id: str) -> None:
        await self._json("POST", f"/runs/{_part(run_id)}/retry")

    async def pause(self, run_id: str, *, reason: str) -> None:
        await self._json("POST", f"/runs/{_part(run_id)}/pause", json={"reason": reason})

    async def release(self, run_id: str, *, accept_drift: bool) -> None:
        body = {"accept_drift": accept_drift}
        await self._json("POST", f"/runs/{_part(run_id)}/release", json=body)

    async def wake(self, run_id: str, step: str | None) -> None:
        await self._json("POST", f"/runs/{_part(run_id)}/wake", json={"step": step})

    async def fork(self, run_id: str, *, at: str, changes: dict[str, bytes], input: bytes | None) -> Json:
        # Values go in as they were typed, and so must be values: `1, "at": ...` would be more than one.
        outputs: list[bytes] = []
        for step, text in changes.items():
            check(text, what=f"the output for step {step}")
            outputs.append(json.dumps(step).encode() + b": " + text)
        fields = [b'"at": ' + json.dumps(at).encode(), b'"set": {' + b", ".join(outputs) + b"}"]
        if input is not None:
            check(input, what="the input")
            fields.append(b'"input": ' + input)
        body = b"{" + b", ".join(fields) + b"}"
        headers = {"Content-Type": "application/json"}
        return await self._json("POST", f"/runs/{_part(run_id)}/fork", headers=headers, content=body)

    async def matching(self, verb: Verb, which: Which) -> Json:
        return await self._json("POST", f"/runs/{verb}", params=_query(which) | {"dry_run": "true"})

    async def change_many(
        self, verb: Verb, which: Which, options: Json, *, confirm: int, cursor: str | None
    ) -> Json:
        params = _query(which) | ({"cursor": cursor} if cursor else {})
        return await self._json("POST", f"/runs/{verb}", params=params, json={"confirm": confirm, **options})

    async def resume(self, target: HookTarget, payload: bytes) -> Json:
        if target.token is not None:
            return await self._answer_token(target.token, "", payload)
        # The payload goes in as it was typed, and so must be one value: `1, "step": ...` would be more than one.
        payload = payload.strip() or b"null"
        check(payload, what="the payload")
        body = b'{"step": ' + json.dumps(target.step).encode() + b', "payload": ' + payload + b"}"
        return await self._answer_run(target, "resume", body)

    async def reject(self, target: HookTarget, reason: str) -> Json:
        if target.token is not None:
            return await self._answer_token(target.token, "/reject", json.dumps({"reason": reason}).encode())
        body = json.dumps({"step": target.step, "reason": reason}).encode()
        return await self._answer_run(target, "reject", body)

    async def prune(self, older_than_s: float | None, *, dry_run: bool) -> Json:
        asked = {"dry_run": dry_run} | ({} if older_than_s is None else {"older_than": older_than_s})
        # Deleting much takes long, and giving up on it would not stop it.
        return await self._json("POST", "/prune", json=asked, timeout=None)

    async def size(self) -> Json:
        return await self._json("GET", "/db/size", timeout=None)

    async def backup(self, target: Path) -> None:
        """Makes the new file, for its owner alone: a copy of the server's database."""
        try:
            handle = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise StoreUnopenable(
                f"{target} cannot be made: {error.strerror}. Nothing was changed."
            ) from error
        with os.fdopen(handle, "wb") as file:
            # How long the server takes to make the copy depends on its size alone.
            patient = httpx.Timeout(None, connect=5.0)
            try:
                async with self.http.stream("POST", "/backup", timeout=patient) as answer:
                    if not answer.is_success:
                        raise problem(answer.status_code, await answer.aread(), self.url)
                    async for chunk in answer.aiter_bytes():
                        file.write(chunk)
            except httpx.TransportError as error:
                raise self._unreachable(error) from None
            file.flush()
            os.fsync(file.fileno())

    async def _answer_token(self, token: str, action: str, body: bytes) -> Json:
        # The answer to a token says nothing about the run. Whoever may list hooks may know it all the same.
        try:
            waiting: list[Json] = (await self.hooks())["hooks"]
        except Unauthorised:
            waiting = []
        run_id = next(
            (each["run_id"] for each in waiting if (each["url"] or "").endswith(f"/hooks/{token}")), None
        )
        headers = {"Content-Type": "application/json"}
        answer = await self._json("POST", f"/hooks/{_part(token)}{action}", headers=headers, content=body)
        return answer | ({"run_id": run_id} if run_id else {})

    async def _answer_run(self, target: HookTarget, action: str, body: bytes) -> Json:
        path = f"/runs/{_part(target.run_id or '')}/hooks/{action}"
        return await self._json("POST", path, headers={"Content-Type": "application/json"}, content=body)

    async def _stream(self, run_id: str, *, after: int, text: bool = False) -> AsyncIterator[Json]:
        """Events of one run as they come. A stream that breaks off is taken up again where it broke."""
        failures = 0
        while True:
            try:
                async with self.http.stream(
                    "GET",
                    f"/runs/{_part(run_id)}/stream",
                    params={} if text else {"text": "false"},
                    headers={"Accept": "text/event-stream", "Last-Event-ID": str(after)},
                    timeout=httpx.Timeout(SILENT_S, connect=5.0),
                ) as answer:
                    if answer.status_code >= 400:
                        raise problem(answer.status_code, await answer.aread(), self.url)
                    async for event in _sent(answer):
                        failures = 0
                        if event["type"] == "text":
                            yield event
                        elif event["seq"] > after:
                            after = event["seq"]
                            yield event
                # The server ends the stream with the run; or it stops, or a proxy had enough. A run that
                # ended after the break still has events to show.
                ended = (await self.run(run_id))["status"] in ENDED
                if ended and not (await self.events(run_id, after=after))["events"]:
                    return
            except httpx.TransportError as error:
                failures += 1
                if failures > 3:
                    raise self._unreachable(error) from None
            await asyncio.sleep(RECONNECT_S)

    async def ask(self, method: str, path: str, **kwargs: Any) -> Json:
        """One question of the HTTP API, for what only one command asks."""
        return await self._json(method, path, **kwargs)

    async def _json(self, method: str, path: str, **kwargs: Any) -> Json:
        return self._parsed(await self._send(method, path, **kwargs))

    async def _send(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        try:
            answer = await self.http.request(method, path, **kwargs)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from None
        if not answer.is_success:
            raise problem(answer.status_code, answer.content, self.url)
        return answer

    def _parsed(self, answer: httpx.Response) -> Json:
        try:
            value: object = answer.json()
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise problem(answer.status_code, answer.content, self.url)
        return cast(Json, value)

    def _unreachable(self, error: Exception) -> ServerUnreachable:
        sent = not isinstance(error, httpx.ConnectError)
        fate = "What was asked may or may not have arrived" if sent else "Nothing was asked"
        return ServerUnreachable(
            f"No ksl server answers at {self.url}: {error or type(error).__name__}. {fate}. Start one "
            "with `ksl serve`, or put --url or KSL_URL right."
        )


async def _sent(answer: httpx.Response) -> AsyncIterator[Json]:
    """The JSON of each server-sent event. Comments, ids and unknown fields are passed over."""
    data: list[str] = []
    async for line in answer.aiter_lines():
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            value: object = json.loads("\n".join(data))
            data.clear()
            if isinstance(value, dict) and "type" in value:
                yield cast(Json, value)


def _query(which: Which) -> dict[str, str]:
    return {key: value for key, value in asdict(which).items() if value is not None}


def _part(text: str) -> str:
    return quote(text, safe="")
