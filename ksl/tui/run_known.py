"""What the server has told of one run: itself, its events, the canvas it is drawn on."""

from __future__ import annotations

from ksl.tui.client import Client, Json, Refused, part

EVENTS_MAX = 20_000  # more are not asked for


class Known:
    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.run: Json | None = None
        self.events: list[Json] = []
        self.canvas: Json | None = None
        self.no_canvas = "loading"  # or why there is none
        self.gone = ""  # what to say of a run that is there no more
        self.at_ms: int | None = None  # when it was so

    async def ask(self, client: Client, now_ms: int) -> None:
        """Only events that are new are asked for. Errors: Lost; Refused, but for a run that is gone."""
        at = f"/runs/{part(self.run_id)}"
        try:
            run = await client.get(at, include="steps,trace")
            while len(self.events) < EVENTS_MAX:
                after = self.events[-1]["seq"] if self.events else 0
                page = await client.get(f"{at}/events", after=after)
                self.events += page["events"]
                if page["next_cursor"] is None:
                    break
        except Refused as refused:
            if refused.status != 404:
                raise
            if self.run is None:
                self.gone = f"There is no run {self.run_id}, or it was removed by retention."
            else:
                self.gone = f"{self.run_id} was removed by retention; what is shown is what it was"
            return
        try:
            asked = f"/workflows/{part(run['workflow'])}/canvas"
            self.canvas = await client.get(asked, run=self.run_id, expand="true")
        except Refused as refused:
            self.canvas, self.no_canvas = None, refused.detail
        self.run, self.at_ms = run, now_ms
