"""The application: every route behind the gate, every error a problem."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from ksl.api.addresses import Addresses
from ksl.api.feed import Feed
from ksl.api.gate import Gate
from ksl.api.link_visits import LinkVisits
from ksl.api.openapi import publish
from ksl.api.problems import http_error, ksl_error, parameter_error
from ksl.api.redaction import Redacting
from ksl.api.routes import (
    agents,
    credentials,
    health,
    hook_links,
    hooks,
    runs,
    runs_in_bulk,
    streams,
    subscriptions,
    system,
    triggers,
    upkeep,
    workflows,
)
from ksl.api.ui import door
from ksl.api.ui import hooks as ui_hooks
from ksl.api.ui import run as ui_run
from ksl.api.ui import runs as ui_runs
from ksl.api.ui import sessions as ui_sessions
from ksl.api.ui import system as ui_system
from ksl.api.ui import triggers as ui_triggers
from ksl.api.ui import workflows as ui_workflows
from ksl.api.ui.logins import Logins
from ksl.api.ui.pages import error_page, login_page
from ksl.errors import KslError

if TYPE_CHECKING:
    from ksl.runtime import Runtime

VERSION = "1"  # of the HTTP interface


def create_app(runtime: Runtime, *, port: int | None = None) -> FastAPI:
    """`port` is the one that the server listens on, where it is not the one in the settings."""
    settings = runtime.settings
    app = FastAPI(
        title="ksl",
        version=VERSION,
        # a page of documentation would load its scripts from elsewhere; the schema itself is at /openapi.json
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        # one address for each thing
        redirect_slashes=False,
    )
    app.state.runtime = runtime
    app.state.feed = Feed(runtime.store)
    app.state.visits = LinkVisits(runtime)
    app.state.stopping = asyncio.Event()
    app.state.logins = logins = Logins(runtime.token)
    # Routes are tried one after the other: what comes by the thousand is first.
    for group in (
        triggers,
        workflows,
        runs,
        runs_in_bulk,
        streams,
        hooks,
        hook_links,
        agents,
        subscriptions,
        credentials,
        upkeep,
        system,
        health,
        door,
    ):
        app.include_router(group.router)
    for group in (door, ui_runs, ui_run, ui_workflows, ui_hooks, ui_triggers, ui_sessions, ui_system):
        app.include_router(group.pages)
    app.include_router(door.rest)
    publish(app)
    app.add_exception_handler(KslError, ksl_error)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(RequestValidationError, parameter_error)
    app.add_middleware(Redacting, redactor=runtime.redactor)
    app.add_middleware(
        Gate,
        token=runtime.token,
        addresses=Addresses(host=settings.server.host, public_url=settings.server.public_url),
        body_max=settings.limits.body,
        port=port or settings.server.port,
        logins=logins,
        login_page=login_page,
        error_page=error_page,
    )
    return app
