"""Alarms, dashboard and saved queries in the templates."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from functions.metrics import Metric
from infra.module_graph import ROOT
from tests.infra.assembly import Assembly, assembly

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(300)  # the first test may have to synthesize

RUNBOOKS = ROOT / "docs" / "runbooks"


@pytest.fixture(scope="module")
def dev() -> Assembly:
    """Synthesize the stage `dev`."""
    return assembly("dev")


def alarms(dev: Assembly) -> list[dict[str, Any]]:
    """Return the properties of all alarms."""
    return [alarm["Properties"] for alarm in dev.resources("AWS::CloudWatch::Alarm").values()]


def metrics_of(alarm: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the metrics of an alarm."""
    if "MetricName" in alarm:
        yield alarm
    for each in alarm.get("Metrics", ()):
        if "MetricStat" in each:
            yield each["MetricStat"]["Metric"]


def test_every_queue_has_an_alarm(dev: Assembly) -> None:
    """On the age of its oldest message; a dead-letter queue on its number of messages."""
    watched: dict[str, set[str]] = {}
    for alarm in alarms(dev):
        for metric in metrics_of(alarm):
            for dimension in metric.get("Dimensions", ()):
                if dimension["Name"] == "QueueName" and len(list(metrics_of(alarm))) == 1:
                    watched.setdefault(dev.named(dimension["Value"]), set()).add(metric["MetricName"])
    for name, queue in dev.resources("AWS::SQS::Queue").items():
        takes_dead_letters = "RedrivePolicy" not in queue["Properties"]
        wanted = "ApproximateNumberOfMessagesVisible" if takes_dead_letters else "ApproximateAgeOfOldestMessage"
        assert wanted in watched[name], name


def test_every_alarm_notifies_and_has_a_runbook(dev: Assembly) -> None:
    """On alarm and on recovery; and every runbook belongs to an alarm."""
    named = set()
    for alarm in alarms(dev):
        assert alarm["AlarmActions"] == alarm["OKActions"] != []
        page = re.search(r"docs/runbooks/([a-z-]+)\.md$", alarm["AlarmDescription"])
        assert page, alarm["AlarmDescription"]
        named.add(page[1])
    assert named == {path.stem for path in RUNBOOKS.glob("*.md")}


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=lambda path: path.stem)
def test_a_runbook_has_the_same_sections_as_all(page: Any) -> None:  # noqa: ANN401  a path
    """An operator on call finds the same three sections in each."""
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {page.stem}\n")
    for heading in ("**What it means.**", "**How to look.**", "**What to do"):
        assert heading in text
    for link in re.findall(r"\]\(([^)#]+)", text):
        assert (page.parent / link).exists(), link


def test_own_metrics_have_the_names_that_functions_emit(dev: Assembly) -> None:
    """In the namespace of the stage. An alarm on a misspelled metric would never go off."""
    text = json.dumps(dev.template("monitoring")).replace("\\", "")
    own = set(re.findall(r'"ComfyUIGateway/dev","(\w+)"', text))
    own |= {m["MetricName"] for a in alarms(dev) for m in metrics_of(a) if m["Namespace"] == "ComfyUIGateway/dev"}
    own |= set(re.findall(r'\{ComfyUIGateway/dev,ErrorCode\} MetricName="(\w+)"', text))
    assert own == {str(metric) for metric in Metric} - {"JobsStarted"}
    allowed = {
        function["Properties"]["Environment"]["Variables"]["METRICS_NAMESPACE"]
        for function in dev.resources("AWS::Lambda::Function").values()
    }
    assert allowed == {"ComfyUIGateway/dev"}


def test_alarm_notifications_are_encrypted(dev: Assembly) -> None:
    """With a key that CloudWatch can use: with the AWS managed key it could not publish."""
    ((_, topic),) = dev.resources("AWS::SNS::Topic").items()
    key = dev.resources("AWS::KMS::Key")[dev.named(topic["Properties"]["KmsMasterKeyId"])]["Properties"]
    services = [each["Principal"].get("Service") for each in key["KeyPolicy"]["Statement"]]
    assert "cloudwatch.amazonaws.com" in services


def test_only_cloudwatch_can_publish_to_the_topic(dev: Assembly) -> None:
    """The explicit policy of the topic replaces the default, which lets the whole account publish."""
    (policy,) = dev.resources("AWS::SNS::TopicPolicy").values()
    allowed = [each for each in policy["Properties"]["PolicyDocument"]["Statement"] if each["Effect"] == "Allow"]
    assert [(each["Principal"], each["Action"]) for each in allowed] == [
        ({"Service": "cloudwatch.amazonaws.com"}, "sns:Publish")
    ]


def test_the_no_executor_alarm_waits_ten_minutes(dev: Assembly) -> None:
    """The time in which new executors start."""
    (alarm,) = [each for each in alarms(dev) if each["AlarmDescription"].endswith("/no-executor.md")]
    assert alarm["EvaluationPeriods"] == 10
    assert {metric["MetricStat"]["Period"] for metric in alarm["Metrics"] if "MetricStat" in metric} == {60}
    (expression,) = [metric["Expression"] for metric in alarm["Metrics"] if "Expression" in metric]
    assert expression.count("REPEAT") == 4


def test_every_log_group_has_a_saved_query(dev: Assembly) -> None:
    """The logs of all functions, and the access log."""
    queried = {
        dev.named(group)
        for query in dev.resources("AWS::Logs::QueryDefinition").values()
        for group in query["Properties"]["LogGroupNames"]
    }
    assert queried == dev.resources("AWS::Logs::LogGroup").keys()
