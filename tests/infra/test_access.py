"""Least privilege, read from the templates as they would be deployed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.executor.test_permissions import listed as page_of_executors
from tests.infra.assembly import Assembly, assembly

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(300)  # the first test may have to synthesize

# Actions that belong to no resource which a policy could name, and why.
WITHOUT_RESOURCE = {
    "xray:PutTraceSegments": "traces are the account's",
    "xray:PutTelemetryRecords": "traces are the account's",
    "dynamodb:ListStreams": "it lists them all, for Lambda to find the table's",
    "ecs:DiscoverPollEndpoint": "it tells where ECS is, to instances of the executors",
    "ecr:GetAuthorizationToken": "the token is the account's; which images may be read is said beside it",
}


@pytest.fixture(scope="module", params=["dev", "everything", "models-on-s3"])
def synthesized(request: pytest.FixtureRequest) -> Assembly:
    """Synthesize a stage as it is, and one with every option."""
    return assembly(request.param)


def statements(synthesized: Assembly) -> Iterator[tuple[str, dict[str, Any]]]:
    """Go through everything that is allowed to roles and users: the resource it is written at, and the statement."""
    for stack in synthesized.templates.values():
        for name, resource in stack["Resources"].items():
            properties = resource.get("Properties", {})
            inline = [policy["PolicyDocument"] for policy in properties.get("Policies", ())]
            own = [properties["PolicyDocument"]] if resource["Type"] in OF_IDENTITIES else []
            for document in [*inline, *own]:
                yield from ((name, each) for each in document["Statement"] if each["Effect"] == "Allow")


OF_IDENTITIES = ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy")


def listed(value: Any) -> list[Any]:  # noqa: ANN401  one, or a list of them
    """IAM takes one of something as well as a list."""
    return value if isinstance(value, list) else [value]


def test_there_are_statements(synthesized: Assembly) -> None:
    """The tests below look at something."""
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


# What is about items. The stream has actions of its own, on a resource of its own.
ON_ITEMS = {
    f"dynamodb:{action}"
    for action in ("GetItem", "BatchGetItem", "Query", "Scan", "PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem")
}


def test_items_are_granted_by_kind(synthesized: Assembly) -> None:
    """Nobody may touch an item without it being said of which kind; the indexes hold jobs only."""
    granted = [each for _, each in statements(synthesized) if ON_ITEMS & {*listed(each["Action"])}]
    assert granted
    for each in granted:
        of_index = all("/index/" in json.dumps(resource) for resource in listed(each["Resource"]))
        kinds = each.get("Condition", {}).get("ForAllValues:StringLike", {}).get("dynamodb:LeadingKeys")
        assert of_index or kinds, each


def test_api_keys_are_written_by_nothing_that_is_deployed(synthesized: Assembly) -> None:
    """Neither a function nor an executor can make itself an administrator."""
    changing = {"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem"}
    for where, each in statements(synthesized):
        if changing & {*listed(each["Action"])}:
            kinds = each["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
            assert not [kind for kind in kinds if kind.startswith(("KEY", "*"))], where


@pytest.mark.parametrize(
    ("function", "action"),
    [
        # A changed workflow's old template is copied onto itself with a tag; the embedded AWS wants no right for that.
        ("workflows", "s3:PutObjectTagging"),
        # It announces the end of jobs that nobody can end otherwise: the deployment's proof has none of these.
        ("sweeper", "events:PutEvents"),
        ("sweeper", "sqs:GetQueueAttributes"),
    ],
)
def test_what_the_proof_cannot_miss_is_granted(function: str, action: str) -> None:
    """Whatever else is missing fails the proof of the deployment."""
    granted = {
        each
        for name, statement in statements(assembly("dev"))
        if name.lower().startswith(f"function{function}".replace("_", ""))
        for each in listed(statement["Action"])
    }
    assert action in granted


def test_no_secret_is_in_an_environment_or_a_template(synthesized: Assembly) -> None:
    """Functions are told where a secret is, and not what it is."""
    for name, function in synthesized.resources("AWS::Lambda::Function").items():
        variables = function["Properties"].get("Environment", {}).get("Variables", {})
        named = [variable for variable in variables if "SECRET" in variable or "PASSWORD" in variable]
        assert [variable for variable in named if not variable.endswith("_ARNS")] == [], name
    assert "{{resolve:secretsmanager" not in json.dumps(synthesized.templates)


def test_executors_may_do_what_their_page_lists(synthesized: Assembly) -> None:
    """The policy for them has the actions on it and no other; what is listed by kind is granted by kind."""
    granted: dict[str, str] = {}
    for where, each in statements(synthesized):
        if where.startswith("ExecutorPolicy"):
            for action in listed(each["Action"]):
                granted[action] = granted.get(action, "") + json.dumps([each["Resource"], each.get("Condition")])
    page = page_of_executors()
    assert granted.keys() == {action for action, _, _ in page}
    assert [(action, key) for action, _, key in page if key not in granted[action]] == []
