"""`ksl build --format sarif` against what SARIF 2.1.0 asks of the parts that ksl writes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, cast

from ksl.build.rules.report import as_sarif

from tests.unit.build.rules.project import checked, write

# Name -> (required, what it is). A name that is not here is not allowed, as in the schema.
LOCATION = {
    "physicalLocation": (True, {
        "artifactLocation": (True, {"uri": (True, re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-F]{2})+"))}),
        "region": (True, dict.fromkeys(("startLine", "startColumn", "endLine", "endColumn"), (True, int))),
    }),
}  # fmt: skip
TEXT = {"text": (True, re.compile(r"(?s).+"))}
LEVEL = re.compile("none|note|warning|error")
LOG: dict[str, Any] = {
    "$schema": (False, re.compile(r"https://.+sarif-2\.1\.0\.json")),
    "version": (True, re.compile(r"2\.1\.0")),
    "runs": (True, [{
        "tool": (True, {"driver": (True, {
            "name": (True, str), "version": (False, str),
            "rules": (False, [{
                "id": (True, str), "shortDescription": (False, TEXT), "help": (False, TEXT),
                "defaultConfiguration": (False, {"level": (False, LEVEL)}),
            }]),
        })}),
        "columnKind": (False, re.compile("utf16CodeUnits|unicodeCodePoints")),
        "results": (False, [{
            "ruleId": (False, str), "ruleIndex": (False, int), "level": (False, LEVEL), "message": (True, TEXT),
            "locations": (False, [LOCATION]),
        }]),
    }]),
}  # fmt: skip


def fits(value: Any, shape: Any, path: str = "log") -> None:
    if isinstance(shape, dict):
        assert isinstance(value, dict), path
        wanted, given = cast("dict[str, Any]", shape), cast("dict[str, Any]", value)
        assert set(given) <= set(wanted), f"{path}: {set(given) - set(wanted)}"
        for name, (required, inner) in wanted.items():
            assert name in given or not required, f"{path}.{name} is missing"
            if name in given:
                fits(given[name], inner, f"{path}.{name}")
    elif isinstance(shape, list):
        assert isinstance(value, list), path
        [item] = cast("list[Any]", shape)
        for index, each in enumerate(cast("list[Any]", value)):
            fits(each, item, f"{path}[{index}]")
    elif isinstance(shape, re.Pattern):
        assert isinstance(value, str), path
        assert re.fullmatch(cast("re.Pattern[str]", shape), value), f"{path}: {value!r}"
    else:
        assert isinstance(value, shape), f"{path}: {value!r}"


def test_a_log_has_what_sarif_asks_for(tmp_path: Path) -> None:
    flow = (
        "from actions.desk import audit\nfrom ksl import workflow\n\n\n@workflow\nasync def NAME() -> None:\n"
        "    é = 'ü'; audit.run()\n    await audit.run(**{})\n    try:\n        await audit.run()\n"
        "    finally:\n        await audit.run()\n"
    )
    write(tmp_path, "workflows/größe 100% (new).py", flow.replace("NAME", "other"))
    found = checked(tmp_path, flow.replace("NAME", "flow"))
    log = json.loads(json.dumps(as_sarif(found, version="1.2.3")))
    fits(log, LOG)
    [run] = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(rules) == len(set(rules))
    results = run["results"]
    assert {(each["ruleId"], each["level"]) for each in results} == {
        ("KSL003", "error"),
        ("KSL104", "warning"),
        ("KSL112", "note"),
    }
    for result in results:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        region = result["locations"][0]["physicalLocation"]["region"]
        start, end = (region["startLine"], region["startColumn"]), (region["endLine"], region["endColumn"])
        assert (1, 1) <= start < end
    uris = {each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for each in results}
    assert uris == {"workflows/example.py", "workflows/gr%C3%B6%C3%9Fe%20100%25%20%28new%29.py"}
