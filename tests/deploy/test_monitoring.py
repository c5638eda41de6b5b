"""The alerts and the dashboard: they ask only for figures that there are; alerts fire when they should."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.deploy import file
from bot.domain.payment import State
from bot.ledger.store import Ledger
from bot.status import status_server
from tests.command_line import ROOT
from tests.ports import fetched, free_port
from tests.tools import tool

RULES: list[dict[str, Any]] = yaml.safe_load(file("alerts.yml"))["groups"][0]["rules"]
DASHBOARD: dict[str, Any] = json.loads(file("dashboard.json"))

OF_THE_LANGUAGE = {
    *(
        "sum",
        "max",
        "by",
        "or",
        "absent",
        "delta",
        "min_over_time",
        "rate",
        "increase",
        "histogram_quantile",
        "time",
    ),
    *("state", "le", "kind", "call", "command", "reason", "answer"),
}
"""What else the expressions are made of."""


def expressions() -> Iterator[str]:
    for rule in RULES:
        yield rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield target["expr"]


def figures_of(expression: str) -> set[str]:
    """The names of the figures, without what selects among them."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", expression)
    return {name.removesuffix("_bucket") for name in re.findall(r"[a-z_]+", bare)} - OF_THE_LANGUAGE


def states_of(expression: str) -> set[str]:
    return {name for names in re.findall(r'state=~?"([^"]*)"', expression) for name in names.split("|")}


async def test_they_ask_only_for_figures_that_there_are(ledger: Ledger) -> None:
    """`up` is Prometheus's own; everything else the bot serves, also while nothing happens."""
    port = free_port()
    async with status_server(ledger, "127.0.0.1", port):
        _, page = await fetched(port, "/metrics")
    served = set(re.findall(r"^# TYPE (\w+) ", page, flags=re.MULTILINE))
    asked = set[str]().union(*map(figures_of, expressions()))
    assert asked - {"up"} <= served
    assert served <= asked, "a figure that nobody looks at"


def test_they_ask_only_for_states_that_there_are() -> None:
    """A state that was renamed would make an alert that never fires."""
    asked = set[str]().union(*map(states_of, expressions()))
    assert asked <= {state.value for state in State}
    assert {"UNKNOWN", "SENDING", "NOT_SENT", "PENDING_APPROVAL"} <= asked


def test_every_selector_names_the_job() -> None:
    """`payments` is a name that others may use as well."""
    for expression in expressions():
        assert expression.count("{") == expression.count("job=")


def test_each_alert_says_what_it_means_and_what_to_do() -> None:
    """To whoever is woken by it."""
    assert len(RULES) == 5
    for rule in RULES:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert len(rule["annotations"]["summary"]) <= 100
        assert rule["annotations"]["description"]


@pytest.mark.parametrize(
    "arguments",
    [["check", "rules", "bot/deploy/alerts.yml"], ["test", "rules", "tests/deploy/alerts_test.yml"]],
    ids=["check", "test"],
)
def test_prometheus_takes_the_alerts_and_fires_them(arguments: list[str]) -> None:
    """Its own tool reads them, and plays the histories of alerts_test.yml through them."""
    done = subprocess.run(
        [tool("promtool"), *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_played_both_ways() -> None:
    """Once so that it fires, and once so that it does not."""
    played = yaml.safe_load((ROOT / "tests/deploy/alerts_test.yml").read_text(encoding="utf-8"))
    fired: dict[str, set[bool]] = {}
    for test in played["tests"]:
        for one in test["alert_rule_test"]:
            fired.setdefault(one["alertname"], set()).add(bool(one.get("exp_alerts")))
    assert fired == {rule["alert"]: {True, False} for rule in RULES}


def test_the_dashboard_has_what_grafana_needs() -> None:
    """Panels with an id each that do not cover one another, over a Prometheus that one chooses."""
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    covered = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(covered) == len(set(covered))
    assert all(x < 24 for x, _ in covered)
    variables = {one["name"] for one in DASHBOARD["templating"]["list"]}
    assert set(re.findall(r"\$\{?(\w+)", file("dashboard.json"))) == variables
    for panel in panels:
        assert panel["title"]
        assert panel["description"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_prometheus_understands_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    """Read as rules, as it has no other check for them."""
    rules = [
        {"record": f"panel:{number}", "expr": expression.replace("$job", "invoice-payment-bot")}
        for number, expression in enumerate(expressions())
    ]
    given = tmp_path / "panels.yml"
    given.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run(
        [tool("promtool"), "check", "rules", given], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
