"""One tree of errors, each with a code and a page in `docs/errors/`.

The code says where an error arose (families: KSL0xx and KSL1xx build rules, KSL2xx configuration and
discovery, KSL3xx triggers, KSL4xx engine and replay, KSL5xx store, KSL6xx CLI, HTTP and TUI, KSL7xx
credentials, KSL8xx models and agents). The base class says what to do about it:

- `FixCode`: an author's code must change.
- `FixRequest`: whoever asked must ask differently (an input, a flag, a setting).
- `TryAgain`: nothing is wrong with the request; the same one may succeed later.
- `AskPerson`: somebody must look at the machine or at the run.

Errors enter the log as data (type, message, step), never as pickled objects.
"""

from __future__ import annotations

from typing import Any, ClassVar


class KslError(Exception):
    """Anything ksl itself has to say. `str()` is the whole message, without the code."""

    code: ClassVar[str] = "KSL000"

    @property
    def message(self) -> str:
        return str(self)

    def explain(self) -> str:
        """The paragraph shown to a person: code, message, where to read more."""
        return f"{self.code} {self}\nSee docs/errors/{self.code}.md"


class FixCode(KslError):
    """An author's code must change before this can work."""


class FixRequest(KslError):
    """The request, input or setting must change before this can work."""


class TryAgain(KslError):
    """The same request may succeed later."""


class AskPerson(KslError):
    """A person must look at the machine or at the run."""


# --- what an author catches or raises ---------------------------------------------------------------


class StepFailed(Exception):
    """A step of this run failed and its retry policy gave up. Raised at the step's `await`.

    The same failure, with the same text, is raised on every replay. `step_id` is the bare id
    (`charge-card#0`), `type` the name of the exception's class, `attempts` how many were made.
    """

    def __init__(self, message: str, *, type: str, step_id: str, attempts: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.type = type
        self.step_id = step_id
        self.attempts = attempts

    def __str__(self) -> str:
        return f"step {self.step_id} failed: {self.type}: {self.message}"


class StepInterrupted(StepFailed):
    """An `at_most_once` step was under way when the process died; it is not run again."""


class FatalError(Exception):
    """Raise it in an action or a body: no retry of the step or of the run."""


class RetryLater(Exception):
    """Raise it in an action: the next attempt is not made before `after` has passed.

    `after` is a duration: "30s", a number of seconds, or a timedelta.
    """

    def __init__(self, message: str = "", *, after: Any = 0) -> None:
        super().__init__(message)
        self.after = after


class HookTimeout(Exception):
    """Nobody answered the hook within its timeout. Raised at the hook's `await`."""


class HookRejected(Exception):
    """Somebody rejected the hook. `reason` is what they wrote. Raised at the hook's `await`."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


# --- build rules met at definition or run time ------------------------------------------------------


class MalformedDefinition(FixCode):
    """A decorator was given something it cannot turn into an action or a workflow."""

    code = "KSL010"


# --- KSL2xx configuration and discovery -------------------------------------------------------------


class ConfigUnreadable(FixRequest):
    """ksl.toml cannot be read or is not TOML."""

    code = "KSL200"


class UnknownSetting(FixRequest):
    """ksl.toml or the environment names a setting that does not exist."""

    code = "KSL201"


class BadSetting(FixRequest):
    """A setting has a value that cannot be used."""

    code = "KSL202"


class NotAProject(FixRequest):
    """No ksl.toml here or in a folder above."""

    code = "KSL203"


class ImportFailed(FixCode):
    """One or more modules of the project failed to import."""

    code = "KSL204"


class DuplicateSlug(FixCode):
    """Two definitions of one kind share a slug."""

    code = "KSL205"


class UnsafeBind(FixRequest):
    """The server was asked to listen beyond this machine without a token."""

    code = "KSL206"


class NoColumnPositions(FixRequest):
    """The interpreter was started without column positions, which step ids need."""

    code = "KSL207"


class FolderExists(FixRequest):
    """`ksl init` would overwrite something."""

    code = "KSL208"


class SourceMissing(FixCode):
    """A workflow's source cannot be found, so its steps cannot be told apart."""

    code = "KSL209"


# --- KSL3xx triggers: 300 common and webhooks, 320 cron, 330 polls, 340 verification -----------------


class UnknownTrigger(FixRequest):
    """No source has this slug, or none listens at this endpoint."""

    code = "KSL300"


class MalformedTrigger(FixCode):
    """A source or an attachment was given something that can never fire."""

    code = "KSL301"


class DeliveryUnverified(FixRequest):
    """A delivery could not be verified. Nothing was started."""

    code = "KSL303"


class DeliveryConflict(FixRequest):
    """A delivery's id was used before with another body."""

    code = "KSL304"


class FiringFailed(FixCode):
    """A filter or transform raised, or what came of it fits no workflow, so no run was started."""

    code = "KSL305"


class KeyTaken(FixRequest):
    """This item, tick or delivery has fired already. Nothing was stored."""

    code = "KSL306"

    def __init__(self, message: str, *, source: str = "", key: str = "") -> None:
        super().__init__(message)
        self.source = source
        self.key = key


class UnknownSubscription(FixRequest):
    """No subscription has this id."""

    code = "KSL307"


class NotSubscribable(FixRequest):
    """The workflow does not take subscriptions, or the subscriber's name cannot be used."""

    code = "KSL308"


class BadSchedule(FixCode):
    """A schedule is not five cron fields, or never comes."""

    code = "KSL320"


class UnknownZone(FixCode):
    """A time zone is not in the tz database."""

    code = "KSL321"


class PayloadMisfit(FixCode):
    """The payload of a cron source is no input of a workflow that it is attached to."""

    code = "KSL322"


class PollFailed(FixCode):
    """A poll raised, took too long, or gave something that cannot be used. Its state stays as it was.

    `type` is the name of the exception's class, `told` its message with the place it was raised at.
    """

    code = "KSL330"

    def __init__(self, message: str, *, type: str = "PollFailed", told: str = "") -> None:
        super().__init__(message)
        self.type = type
        self.told = told or message


class Unverified(FixRequest):
    """A webhook delivery does not prove who sent it. The text is the reason, for whoever runs the server."""

    code = "KSL340"


# --- KSL4xx engine and replay -----------------------------------------------------------------------


class UnknownWorkflow(FixRequest):
    """No workflow has this slug."""

    code = "KSL400"


class ReplayMismatch(AskPerson):
    """The code asked for something other than what this run's history holds.

    The run is held, not failed: its history is intact, and the old code lets it go on.
    Raised only while replaying. `rule` names the likeliest edit: "step-removed", "step-added", "moved",
    "other-callee", "other-output", "ended-early". `line` is where the code stood, file:line.
    """

    code = "KSL401"

    def __init__(self, message: str, *, rule: str = "", line: str = "") -> None:
        super().__init__(message)
        self.rule = rule
        self.line = line


class InputDrift(AskPerson):
    """A recorded step was asked for again with another input."""

    code = "KSL402"

    def __init__(self, message: str, *, rule: str = "drift", line: str = "") -> None:
        super().__init__(message)
        self.rule = rule
        self.line = line


class UnknownSite(FixCode):
    """A step was called from a place that the workflow's source does not show."""

    code = "KSL403"


class ActionIsLeaf(FixCode):
    """An action called another step; actions are leaves."""

    code = "KSL404"


class RealIoInBody(FixCode):
    """A workflow body did real I/O, used a thread, or waited for another event loop."""

    code = "KSL405"


class NotEncodable(FixCode):
    """A value does not survive a round trip through JSON."""

    code = "KSL406"


class InvalidInput(FixRequest):
    """An input does not fit its schema. `errors` lists `{"loc": [...], "msg": "..."}`."""

    code = "KSL407"

    def __init__(self, message: str, errors: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.errors = errors or []


class InvalidOutput(FixCode):
    """A workflow returned something that does not fit its output annotation."""

    code = "KSL408"


class WrongState(FixRequest):
    """The run's state does not allow what was asked."""

    code = "KSL409"


class RunStuck(FixCode):
    """The body waits for something that can never happen."""

    code = "KSL410"


class RunawayBody(FixCode):
    """The body went through too many loop turns without waiting for anything recorded."""

    code = "KSL411"


class TooManySteps(FixCode):
    """The run recorded more steps than `limits.steps` allows."""

    code = "KSL412"


class PayloadTooLarge(FixRequest):
    """A value is larger than `limits.payload`."""

    code = "KSL413"


class UnknownRun(FixRequest):
    """No run has this id."""

    code = "KSL414"


class PoisonRun(AskPerson):
    """The process died five times while this run was being advanced, with no progress between."""

    code = "KSL415"


class OutsideRun(FixCode):
    """Something that only exists inside a run was used outside one."""

    code = "KSL416"


class WorkflowGone(AskPerson):
    """A run's workflow is no longer in the project."""

    code = "KSL417"
    rule = "workflow-removed"


class RunTimedOut(FixCode):
    """The run took longer than its workflow's `timeout`."""

    code = "KSL418"


class InternalFault(AskPerson):
    """ksl itself went wrong while advancing a run. The run is held; its history is intact."""

    code = "KSL419"


class UnknownHook(FixRequest):
    """No hook has this token, or the run has no such hook."""

    code = "KSL420"


class HookAnswered(FixRequest):
    """The hook was answered before. One answer wins; this one changed nothing."""

    code = "KSL421"


class HookClosed(FixRequest):
    """The hook expired, or its run ended."""

    code = "KSL422"


class RunBetweenAttempts(TryAgain):
    """An earlier attempt of the run made the hook, and the code at hand no longer does; it may again."""

    code = "KSL424"


class IdempotencyConflict(FixRequest):
    """The idempotency key was used before with another input."""

    code = "KSL430"


class QueueFull(TryAgain):
    """More runs wait in line than `queue.backlog` allows. No run was created."""

    code = "KSL431"


# --- KSL5xx store -----------------------------------------------------------------------------------


class StoreUnopenable(AskPerson):
    """The data folder or the database cannot be opened."""

    code = "KSL500"


class StoreFull(TryAgain):
    """The disk has no space. Nothing of the refused request was stored."""

    code = "KSL501"


class StoreFailed(AskPerson):
    """A write or a flush failed. The server stops: what the disk holds is no longer certain."""

    code = "KSL502"


class StoreBusy(TryAgain):
    """SQLite stayed locked longer than the busy timeout."""

    code = "KSL503"


class FolderHeld(TryAgain):
    """Another ksl process holds the data folder."""

    code = "KSL504"


class DamagedEvent(AskPerson):
    """An event's checksum does not match its content. Only its own run is held."""

    code = "KSL505"

    def __init__(self, message: str, *, run_id: str = "", seq: int = 0) -> None:
        super().__init__(message)
        self.run_id = run_id
        self.seq = seq  # 0: which event is not known


class SchemaTooNew(AskPerson):
    """The database was written by a newer ksl."""

    code = "KSL506"


class ChangeRefused(AskPerson):
    """The log did not take a change for what it holds, such as a `seq` that is taken. Others were stored."""

    code = "KSL507"


class BadBackup(FixRequest):
    """The file is not a backup that can be restored."""

    code = "KSL508"


# --- KSL6xx CLI, HTTP and TUI -----------------------------------------------------------------------


class Unauthorised(FixRequest):
    """The request carries no valid bearer token."""

    code = "KSL600"


class HostRefused(FixRequest):
    """The Host header names a host this server does not answer for."""

    code = "KSL601"


class OriginRefused(FixRequest):
    """A state-changing request came from a foreign web page."""

    code = "KSL602"


class BodyTooLarge(FixRequest):
    """The request body is larger than `limits.body`."""

    code = "KSL603"


class BadJson(FixRequest):
    """The text is not strict JSON (RFC 8259)."""

    code = "KSL604"


class NotFound(FixRequest):
    """Nothing is at this address."""

    code = "KSL605"


class ServerUnreachable(TryAgain):
    """No server answers at the address."""

    code = "KSL606"


class PortInUse(FixRequest):
    """Another program listens on the port."""

    code = "KSL607"


class BadMediaType(FixRequest):
    """The body's content type is not one that this address takes."""

    code = "KSL608"


class BadRequest(FixRequest):
    """A parameter, header or flag has a value that cannot be used."""

    code = "KSL609"


class ShuttingDown(TryAgain):
    """The server is stopping and takes no new work."""

    code = "KSL610"


class UnknownCanvas(FixRequest):
    """The canvas of the code that a run was started with was not kept."""

    code = "KSL611"


# --- KSL7xx credentials -----------------------------------------------------------------------------


class MissingCredential(AskPerson):
    """A step needs a credential that nobody has set where it is looked up."""

    code = "KSL700"


class WrongKey(AskPerson):
    """The key at hand is not the one that the stored credentials are sealed with."""

    code = "KSL701"


class KeyUnusable(AskPerson):
    """The key of credentials cannot be read, or is none."""

    code = "KSL702"


class UnknownCredential(FixRequest):
    """The project defines no credential of this name, or none is set in this place."""

    code = "KSL703"


class InvalidCredential(FixRequest):
    """The fields of a credential do not fit its model. `errors` lists `{"loc": [...], "msg": "..."}`."""

    code = "KSL704"

    def __init__(self, message: str, errors: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.errors = errors or []


class CredentialDamaged(AskPerson):
    """A stored credential is not what was stored there."""

    code = "KSL705"


class AuthorizationFailed(AskPerson):
    """The service refused to authorize or to refresh an OAuth credential."""

    code = "KSL706"


class CredentialNotNamed(FixCode):
    """An action asked for a credential that its decorator does not name."""

    code = "KSL707"


class ExtraMissing(FixRequest):
    """This needs a package that is installed with one of ksl's extras."""

    code = "KSL708"


# --- KSL8xx models and agents -----------------------------------------------------------------------


class UnknownModel(FixCode):
    """A model string names no vendor or provider that is known, or none was given."""

    code = "KSL800"


class ModelKeyMissing(AskPerson):
    """The vendor of a model wants a key, and none is set."""

    code = "KSL801"


class ModelRefused(FixRequest):
    """The server of a model refused the request; the same one would be refused again."""

    code = "KSL802"


class ModelUnavailable(TryAgain):
    """The server of a model did not answer, or not with what its protocol says."""

    code = "KSL803"


class OutputMisfit(FixRequest):
    """A model was asked again, and what it answered still does not fit the output's schema."""

    code = "KSL804"


class AgentStepsExceeded(FixRequest):
    """An agent took `max_steps` turns and was not done."""

    code = "KSL805"


class ToolFailing(FixCode):
    """A tool failed again and again in one prompt."""

    code = "KSL806"


class ToolCannotWait(FixCode):
    """A workflow used as a tool slept or waited for a hook."""

    code = "KSL807"


class BudgetExceeded(FixRequest):
    """A budget for models is used up. No request was made."""

    code = "KSL808"


class SessionBusy(TryAgain):
    """Another prompt of this session is not done yet."""

    code = "KSL809"


class UnknownSession(FixRequest):
    """There is no session of this id."""

    code = "KSL810"


class UnknownAgent(FixRequest):
    """The project has no agent of this slug."""

    code = "KSL811"
