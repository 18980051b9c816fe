"""Makes trials: reads plans from stdin, writes a record of each trial to stdout, both as lines of JSON.

A process of its own, since it forks: it must have no loop and no threads. It takes the next plan when it is
through with one, so several of them share the work as they have time.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random

import msgspec

from ksl.build.discover import Project, discover, unload

from tests.crash.engine_trial import EngineTrial, Expected, run_engine_trial
from tests.crash.forked_serve import ForkedServe
from tests.crash.life import Task
from tests.crash.plans import Kills, Plan, Programs, Serving, Sweep, random_points
from tests.crash.record import Record
from tests.crash.soundness import ended, judged
from tests.crash.strace import Injection
from tests.crash.trial import run_trial
from tests.crash.verdict import SEQUENTIAL, Verdict
from tests.crash.workload import RUNS, write_project
from tests.property.programs import KIT, program

# In place of the kit's stage: what the actions of random programs really do.
STAGE = """

from workflows.ledger import mark
from random import Random
import asyncio


class Stage:
    async def perform(self, ctx):
        mark(ctx)
        wait_ms = Random(f"{ctx.step_id} {ctx.attempt}").choice((0, 0, 1, 7, 50, 120))
        if wait_ms:
            await asyncio.sleep(wait_ms / 1000)


stage = Stage()
"""


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="ksl-chaos-") as root:
        worker = Worker(Path(root))
        for line in sys.stdin:
            plan = msgspec.json.decode(line, type=Plan)
            for record in worker.records(plan):
                sys.stdout.write(msgspec.json.encode(record).decode() + "\n")
                sys.stdout.flush()
            sys.stdout.write("\n")  # an empty line: the plan is done
            sys.stdout.flush()
    return 0


class Worker:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._trials = 0
        self._scripted = root / "scripted"
        write_project(self._scripted)

    def records(self, plan: Plan) -> Iterator[Record]:
        match plan:
            case Serving():
                with self._folder() as folder:
                    yield serving(folder, plan)
            case Programs():
                yield from self._programs(plan)
            case Kills():
                with loaded(self._scripted) as project:
                    yield self._scripted_trial(project, plan.workflow, plan.points, plan.durability, "random")
            case Sweep():
                with loaded(self._scripted) as project:
                    yield from self._sweep(project, plan)

    def _sweep(self, project: Project, plan: Sweep) -> Iterator[Record]:
        fault = ":" in plan.point
        for k in range(1, plan.most + 1, plan.step):
            if fault:
                record, is_over = self._faulty_trial(project, plan, k)
            else:
                points = (f"{plan.point}:{k}", *plan.then)
                family = "twice" if plan.then else "sweep"
                record = self._scripted_trial(project, plan.workflow, points, plan.durability, family)
                is_over = record.exits[0] == 0
            record.is_over = is_over
            yield record
            if is_over:
                return
        # A sweep that was cut short on purpose is no worse for it; one without an end is.
        if plan.most >= 400:
            yield Record(family="sweep", plan=repr(plan), problems=["the sweep came to no end"])

    def _scripted_trial(
        self, project: Project, workflow: str, points: Sequence[str], durability: str, family: str
    ) -> Record:
        plan = f"{workflow} {durability} {' '.join(points)}"
        with self._folder() as folder:
            task = Task(project, folder, workflow, RUNS[workflow][0], durability)
            return judged(run_engine_trial(task, points), scripted(workflow), family=family, plan=plan)

    def _faulty_trial(self, project: Project, plan: Sweep, k: int) -> tuple[Record, bool]:
        said = plan.point.format(k=k)
        with self._folder() as folder:
            folder.mkdir()
            task = Task(project, folder, plan.workflow, RUNS[plan.workflow][0], plan.durability)
            trial = EngineTrial(task)
            injection = Injection(said, folder / "strace")
            code = trial.live("", held=injection.attach)
            happened = injection.happened
            if code != 0:
                trial.live("")
            family = "pwrite64" if "KILL" in said else "flush"
            record = judged(
                trial,
                scripted(plan.workflow),
                family=family,
                plan=f"{plan.workflow} {plan.durability} {said}",
                faults=happened,
            )
            return record, code == 0 and not happened

    def _programs(self, plan: Programs) -> Iterator[Record]:
        self._trials += 1
        root = self._root / f"programs-{self._trials}"
        write_project(root)
        flows = (root / "workflows" / "flows.py").read_text()
        (root / "workflows" / "ledger.py").write_text(flows.partition("@action")[0])
        (root / "workflows" / "flows.py").unlink()
        (root / "actions").mkdir()
        (root / "actions" / "kit.py").write_text(KIT.replace("stage = None\n", STAGE))
        for seed in plan.seeds:
            text = program(seed, f"p{seed}", steady=plan.steady)
            (root / "workflows" / f"p{seed}.py").write_text(text)
        with loaded(root) as project:
            for seed in plan.seeds:
                yield from self._program(project, seed, plan)
        shutil.rmtree(root)

    def _program(self, project: Project, seed: int, plan: Programs) -> Iterator[Record]:
        slug, kind = f"p{seed}", "steady" if plan.steady else "racy"
        with self._folder() as folder:
            calm = run_engine_trial(Task(project, folder, slug, 4, "process"), [])
            name = f"{kind} program {seed}"
            if calm.exits != [0]:
                yield Record(
                    family="programs", plan=name, exits=calm.exits, stuck=[f"undisturbed: {calm.said}"]
                )
                return
            status, output = ended(calm)
            steps = frozenset(line.step for line in calm.ledger)
            expected = Expected(status, output, False, steps, compare=plan.steady)
            yield judged(calm, expected, family="programs", plan=name)
            effects, commits = len(calm.ledger), sum(line.startswith("stored") for line in calm.told[-1])
        rng = Random(seed)
        for _ in range(plan.trials):
            points = random_points(rng, max(effects, commits, 1))
            durability = rng.choice(("full", "process"))
            with self._folder() as folder:
                trial = run_engine_trial(Task(project, folder, slug, 4, durability), points)
                where = f"{name} {durability} {' '.join(points)}"
                yield judged(trial, expected, family="programs", plan=where)

    @contextmanager
    def _folder(self) -> Generator[Path]:
        self._trials += 1
        folder = self._root / f"trial-{self._trials}"
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def scripted(workflow: str) -> Expected:
    _, status, output = RUNS[workflow]
    return Expected(status, output, workflow in SEQUENTIAL)


def serving(folder: Path, plan: Serving) -> Record:
    record = Record(family="serve", plan=f"{plan.durability} {' '.join(plan.points)}")
    options = ("--durability", plan.durability)
    try:
        trial = run_trial(folder, plan.points, options=options, serve=ForkedServe)
    except AssertionError as error:
        record.problems.append(str(error))
        return record
    verdict = Verdict(trial)
    record.kills = trial.kills
    record.operations = {kind: count for kind, count in verdict.operations.items() if kind != "kill"}
    record.acknowledged = 2 * len(trial.started) + trial.answered + trial.stopped
    record.lost, record.duplicates = verdict.lost, verdict.duplicates
    record.divergences = verdict.divergences
    record.problems += [
        problem
        for problem in verdict.problems
        if not problem.startswith(("lost: ", "recorded twice: ", "diverged: "))
    ]
    record.wal_bytes = trial.wal_bytes
    record.restart_s = trial.restart_s if trial.kills else None
    return record


@contextmanager
def loaded(folder: Path) -> Generator[Project]:
    project = discover(folder)
    try:
        project.raise_if_broken()
        yield project
    finally:
        unload(project)


if __name__ == "__main__":
    sys.exit(main())
