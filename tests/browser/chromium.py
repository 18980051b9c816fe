"""A headless Chromium, driven through a pipe: two file descriptors and JSON, no package and no port."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE_S = 30.0

Json = dict[str, Any]

_FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",  # in containers there is no right to make one; what is opened here is our own
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--no-default-browser-check",
    "--no-first-run",
    "--hide-scrollbars",
    "--mute-audio",
    "--force-color-profile=srgb",
)

# Where the protocol wants its pipes. They may lie at 3 and 4 already, in the other order.
_AT_3_AND_4 = """
import os, sys
read, write = os.dup(int(sys.argv[1])), os.dup(int(sys.argv[2]))
read, write = (os.dup2(fd, 20 + at) for at, fd in enumerate((read, write)))
os.dup2(read, 3), os.dup2(write, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._number = 0
        self._answers: dict[int, asyncio.Future[Json]] = {}
        self._listeners: dict[str, Callable[[str, Json], None]] = {}  # by session
        self._listening = asyncio.create_task(self._listen())

    async def send(self, method: str, session: str | None = None, **params: Any) -> Json:
        self._number += 1
        message: Json = {"id": self._number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        answer = self._answers[self._number] = asyncio.get_running_loop().create_future()
        self._writer.write(json.dumps(message).encode() + b"\0")
        await self._writer.drain()
        async with asyncio.timeout(PATIENCE_S):
            return await answer

    @asynccontextmanager
    async def page(
        self, *, width: int = 1280, height: int = 900, dark: bool = False, script: bool = True
    ) -> AsyncGenerator[Page]:
        """A tab with cookies of its own."""
        context = (await self.send("Target.createBrowserContext"))["browserContextId"]
        target = await self.send("Target.createTarget", url="about:blank", browserContextId=context)
        attached = await self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        page = Page(self, attached["sessionId"])
        self._listeners[page.session] = page.heard
        for domain in ("Page", "Runtime", "Log", "Network"):
            await page.send(f"{domain}.enable")
        await page.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await page.send("Emulation.setEmulatedMedia", features=[scheme])
        if not script:
            await page.send("Emulation.setScriptExecutionDisabled", value=True)
        try:
            yield page
        finally:
            del self._listeners[page.session]
            await self.send("Target.disposeBrowserContext", browserContextId=context)

    async def _listen(self) -> None:
        while True:
            try:
                message: Json = json.loads((await self._reader.readuntil(b"\0"))[:-1])
            except asyncio.IncompleteReadError:
                return
            if (answer := self._answers.pop(message.get("id", 0), None)) is not None:
                if "error" in message:
                    answer.set_exception(RuntimeError(str(message["error"])))
                else:
                    answer.set_result(message["result"])
            elif (listener := self._listeners.get(message.get("sessionId", ""))) is not None:
                listener(message["method"], message["params"])

    async def close(self) -> None:
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        self._writer.close()


@dataclass
class Page:
    """`complaints` is what the browser's console shows as an error: scripts that raise, what a policy refuses."""

    browser: Browser
    session: str
    complaints: list[str] = field(default_factory=list[str])
    _loads: asyncio.Queue[None] = field(default_factory=asyncio.Queue[None])

    def heard(self, method: str, params: Json) -> None:
        match method:
            case "Page.loadEventFired":
                self._loads.put_nowait(None)
            case "Runtime.exceptionThrown":
                self.complaints.append(str(params["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning"):
                self.complaints.append(str(params["args"]))
            case "Log.entryAdded" if params["entry"]["level"] == "error":
                self.complaints.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
            case _:
                pass

    async def send(self, method: str, **params: Any) -> Json:
        return await self.browser.send(method, self.session, **params)

    async def go(self, url: str, *, loads: int = 1) -> None:
        """`loads`: how many pages come of it, one after the other."""
        await self._loading(self.send("Page.navigate", url=url), loads)

    async def click(self, selector: str, *, loads: bool = True) -> None:
        """`loads`: another page comes of it."""
        clicking = self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")
        await (self._loading(clicking, 1) if loads else clicking)

    async def fill(self, selector: str, text: str) -> None:
        await self.evaluate(f"document.querySelector({json.dumps(selector)}).value = {json.dumps(text)}")

    async def write(self, selector: str, text: str) -> None:
        """As somebody does who writes: the field has the focus, and the page hears of it."""
        await self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
        await self.send("Input.insertText", text=text)

    async def press(self, key: str) -> None:
        """A key by its name: Tab, Enter, or " "."""
        code, number = {"Tab": ("Tab", 9), "Enter": ("Enter", 13), " ": ("Space", 32)}[key]
        text = {"Enter": "\r", " ": " "}.get(key, "")
        about: Json = {"key": key, "code": code, "windowsVirtualKeyCode": number}
        down = {"type": "keyDown" if text else "rawKeyDown", **about} | ({"text": text} if text else {})
        await self.send("Input.dispatchKeyEvent", **down)
        await self.send("Input.dispatchKeyEvent", type="keyUp", **about)

    async def tab_to(self, selector: str) -> None:
        """As far as the Tab key leads."""
        for _ in range(100):
            await self.press("Tab")
            if await self.evaluate(f"document.activeElement.matches({json.dumps(selector)})"):
                return
        raise AssertionError(f"Tab never comes to {selector}")

    async def reload(self) -> None:
        await self._loading(self.send("Page.reload"), 1)

    async def _loading(self, doing: Any, loads: int) -> None:
        while not self._loads.empty():
            self._loads.get_nowait()
        await doing
        async with asyncio.timeout(PATIENCE_S):
            for _ in range(loads):
                await self._loads.get()

    async def evaluate(self, expression: str) -> Any:
        """The value of the expression in the page, awaited."""
        told = await self.send(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    async def until(self, expression: str) -> None:
        """Waits for a change of the page that makes the expression true; the browser says when."""
        await self.evaluate(
            f"""new Promise((resolve, reject) => {{
              const holds = () => {{ try {{ return {expression}; }} catch {{ return false; }} }};
              if (holds()) return resolve();
              const observer = new MutationObserver(() => {{ if (holds()) {{ observer.disconnect(); resolve(); }} }});
              observer.observe(document, {{attributes: true, childList: true, characterData: true, subtree: true}});
              setTimeout(() => reject(new Error({json.dumps(expression)})), {PATIENCE_S * 900:.0f});
            }})"""
        )

    async def text(self) -> str:
        return cast(str, await self.evaluate("document.body.innerText"))

    async def address(self) -> str:
        return cast(str, await self.evaluate("location.href"))

    async def picture(self, *, whole: bool = True) -> bytes:
        """PNG."""
        told = await self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(told["data"])


@asynccontextmanager
async def chromium() -> AsyncGenerator[Browser]:
    assert CHROMIUM is not None
    to_read, to_write = os.pipe(), os.pipe()  # what the browser reads, what it writes
    with tempfile.TemporaryDirectory(prefix="ksl-chromium-", ignore_cleanup_errors=True) as folder:
        environment = {**os.environ, "HOME": folder}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _AT_3_AND_4,
            str(to_read[0]),
            str(to_write[1]),
            CHROMIUM,
            *_FLAGS,
            f"--user-data-dir={Path(folder) / 'profile'}",
            "about:blank",
            pass_fds=(to_read[0], to_write[1]),
            env=environment,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(to_read[0])
        os.close(to_write[1])
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=256 << 20)
        incoming, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(to_write[0], "rb")
        )
        transport, protocol = await loop.connect_write_pipe(
            asyncio.streams.FlowControlMixin, os.fdopen(to_read[1], "wb")
        )
        browser = Browser(reader, asyncio.StreamWriter(transport, protocol, reader, loop))
        try:
            yield browser
        finally:
            await browser.close()
            incoming.close()
            try:
                os.killpg(process.pid, 9)
            except ProcessLookupError:
                pass
            await process.wait()
