"""What operators see and what wakes them up."""

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
    """Synthesize a stage as it is."""
    return assembly("dev")


def alarms(dev: Assembly) -> list[dict[str, Any]]:
    """List the properties of all alarms."""
    return [alarm["Properties"] for alarm in dev.resources("AWS::CloudWatch::Alarm").values()]


def metrics_of(alarm: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Go through the metrics that an alarm looks at."""
    if "MetricName" in alarm:
        yield alarm
    for each in alarm.get("Metrics", ()):
        if "MetricStat" in each:
            yield each["MetricStat"]["Metric"]


def test_every_queue_has_an_alarm(dev: Assembly) -> None:
    """On its oldest message; or, when it takes dead letters, on there being any."""
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


def test_every_alarm_is_told_and_has_a_page(dev: Assembly) -> None:
    """When it begins and when it ends; and no page is there for nothing."""
    named = set()
    for alarm in alarms(dev):
        assert alarm["AlarmActions"] == alarm["OKActions"] != []
        page = re.search(r"docs/runbooks/([a-z-]+)\.md$", alarm["AlarmDescription"])
        assert page, alarm["AlarmDescription"]
        named.add(page[1])
    assert named == {path.stem for path in RUNBOOKS.glob("*.md")}


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=lambda path: path.stem)
def test_a_page_says_what_how_and_what_to_do(page: Any) -> None:  # noqa: ANN401  a path
    """Whoever was woken up finds the same three things on each."""
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {page.stem}\n")
    for heading in ("**What it means.**", "**How to look.**", "**What to do"):
        assert heading in text
    for link in re.findall(r"\]\(([^)#]+)", text):
        assert (page.parent / link).exists(), link


def test_own_metrics_are_looked_at_by_the_names_that_functions_write(dev: Assembly) -> None:
    """In the stage's own namespace. A name that nobody writes would leave an alarm silent for ever."""
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


def test_alarms_are_told_encrypted(dev: Assembly) -> None:
    """With a key that CloudWatch may use: it can't use SNS's own, and would stay silent."""
    ((_, topic),) = dev.resources("AWS::SNS::Topic").items()
    key = dev.resources("AWS::KMS::Key")[dev.named(topic["Properties"]["KmsMasterKeyId"])]["Properties"]
    services = [each["Principal"].get("Service") for each in key["KeyPolicy"]["Statement"]]
    assert "cloudwatch.amazonaws.com" in services


def test_cloudwatch_may_tell_the_topic(dev: Assembly) -> None:
    """The topic has a policy of its own, so that nobody may publish whom it does not name."""
    (policy,) = dev.resources("AWS::SNS::TopicPolicy").values()
    allowed = [each for each in policy["Properties"]["PolicyDocument"]["Statement"] if each["Effect"] == "Allow"]
    assert [(each["Principal"], each["Action"]) for each in allowed] == [
        ({"Service": "cloudwatch.amazonaws.com"}, "sns:Publish")
    ]


def test_jobs_wait_ten_minutes_before_anybody_is_woken_up(dev: Assembly) -> None:
    """A stage without executors gets them within that time."""
    (alarm,) = [each for each in alarms(dev) if each["AlarmDescription"].endswith("/no-executor.md")]
    assert alarm["EvaluationPeriods"] == 10
    assert {metric["MetricStat"]["Period"] for metric in alarm["Metrics"] if "MetricStat" in metric} == {60}
    (expression,) = [metric["Expression"] for metric in alarm["Metrics"] if "Expression" in metric]
    assert expression.count("REPEAT") == 4


def test_queries_are_saved_for_every_log(dev: Assembly) -> None:
    """Each function's log is in some query, and so is the API's."""
    asked = {
        dev.named(group)
        for query in dev.resources("AWS::Logs::QueryDefinition").values()
        for group in query["Properties"]["LogGroupNames"]
    }
    assert asked == dev.resources("AWS::Logs::LogGroup").keys()
