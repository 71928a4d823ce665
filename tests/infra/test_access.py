"""Least privilege, checked in the synthesized templates."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.executor.test_permissions import listed as page_of_executors
from tests.infra.assembly import Assembly, assembly

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(300)  # the first test may have to synthesize

# Actions without resource-level permissions, and why.
WITHOUT_RESOURCE = {
    "xray:PutTraceSegments": "traces belong to the account",
    "xray:PutTelemetryRecords": "traces belong to the account",
    "dynamodb:ListStreams": "Lambda lists all streams to find the table's",
    "ecs:DiscoverPollEndpoint": "it returns the ECS endpoint to the instances of executors",
    "ecr:GetAuthorizationToken": "the token belongs to the account; another statement names the images",
}


@pytest.fixture(scope="module", params=["dev", "everything", "models-on-s3"])
def synthesized(request: pytest.FixtureRequest) -> Assembly:
    """Synthesize a default stage, and stages with options."""
    return assembly(request.param)


def statements(synthesized: Assembly) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every Allow statement for roles and users, with the logical id of its resource."""
    for stack in synthesized.templates.values():
        for name, resource in stack["Resources"].items():
            properties = resource.get("Properties", {})
            inline = [policy["PolicyDocument"] for policy in properties.get("Policies", ())]
            own = [properties["PolicyDocument"]] if resource["Type"] in OF_IDENTITIES else []
            for document in [*inline, *own]:
                yield from ((name, each) for each in document["Statement"] if each["Effect"] == "Allow")


OF_IDENTITIES = ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy")


def listed(value: Any) -> list[Any]:  # noqa: ANN401  one, or a list of them
    """Return a list; IAM accepts a single value too."""
    return value if isinstance(value, list) else [value]


def test_there_are_statements(synthesized: Assembly) -> None:
    """The tests below have statements to check."""
    assert len(list(statements(synthesized))) > 30


def test_no_action_is_a_wildcard(synthesized: Assembly) -> None:
    """Every action is named."""
    wild = [
        (where, action) for where, each in statements(synthesized) for action in listed(each["Action"]) if "*" in action
    ]
    assert wild == []


def test_no_resource_is_everything_without_a_reason(synthesized: Assembly) -> None:
    """`*` stands only for actions that have no resource."""
    wild = {
        action
        for _, each in statements(synthesized)
        if "*" in listed(each["Resource"])
        for action in listed(each["Action"])
    }
    assert wild <= {*WITHOUT_RESOURCE}


# Actions on items. The stream has its own actions and resource.
ON_ITEMS = {
    f"dynamodb:{action}"
    for action in ("GetItem", "BatchGetItem", "Query", "Scan", "PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem")
}


def test_items_are_granted_by_kind(synthesized: Assembly) -> None:
    """Every permission on items names their kind; the indexes have jobs only."""
    granted = [each for _, each in statements(synthesized) if ON_ITEMS & {*listed(each["Action"])}]
    assert granted
    for each in granted:
        of_index = all("/index/" in json.dumps(resource) for resource in listed(each["Resource"]))
        kinds = each.get("Condition", {}).get("ForAllValues:StringLike", {}).get("dynamodb:LeadingKeys")
        assert of_index or kinds, each


def test_nothing_that_is_deployed_can_write_api_keys(synthesized: Assembly) -> None:
    """Neither a function nor an executor can make itself an admin."""
    changing = {"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem"}
    for where, each in statements(synthesized):
        if changing & {*listed(each["Action"])}:
            kinds = each["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
            assert not [kind for kind in kinds if kind.startswith(("KEY", "*"))], where


@pytest.mark.parametrize(
    ("function", "action"),
    [
        # An old template is copied onto itself with a tag; the embedded AWS checks no permission for that.
        ("workflows", "s3:PutObjectTagging"),
        # The sweeper publishes the end of lost jobs: the deployment test has no lost jobs.
        ("sweeper", "events:PutEvents"),
        ("sweeper", "sqs:GetQueueAttributes"),
    ],
)
def test_permissions_that_the_deployment_test_does_not_use_are_granted(function: str, action: str) -> None:
    """A missing permission of any other kind fails the deployment test."""
    granted = {
        each
        for name, statement in statements(assembly("dev"))
        if name.lower().startswith(f"function{function}".replace("_", ""))
        for each in listed(statement["Action"])
    }
    assert action in granted


def test_no_secret_is_in_an_environment_or_a_template(synthesized: Assembly) -> None:
    """Functions get the ARN of a secret, not its value."""
    for name, function in synthesized.resources("AWS::Lambda::Function").items():
        variables = function["Properties"].get("Environment", {}).get("Variables", {})
        named = [variable for variable in variables if "SECRET" in variable or "PASSWORD" in variable]
        assert [variable for variable in named if not variable.endswith("_ARNS")] == [], name
    assert "{{resolve:secretsmanager" not in json.dumps(synthesized.templates)


def test_the_executor_policy_matches_its_documentation(synthesized: Assembly) -> None:
    """The policy has exactly the documented actions, restricted by kind of item where the page says so."""
    granted: dict[str, str] = {}
    for where, each in statements(synthesized):
        if where.startswith("ExecutorPolicy"):
            for action in listed(each["Action"]):
                granted[action] = granted.get(action, "") + json.dumps([each["Resource"], each.get("Condition")])
    page = page_of_executors()
    assert granted.keys() == {action for action, _, _ in page}
    assert [(action, key) for action, _, key in page if key not in granted[action]] == []
