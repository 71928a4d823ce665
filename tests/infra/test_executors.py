"""The stack of executors: two containers on an instance of their own, as many as there is work for, closed to all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.infra.assembly import THIS_MACHINE, Assembly, assembly

pytestmark = pytest.mark.timeout(300)  # the first test may have to synthesise


@pytest.fixture(scope="module")
def stack() -> dict[str, Any]:
    """Synthesise a stage with executors, three at most."""
    return assembly("everything", THIS_MACHINE).template("executors")


def of_kind(stack: dict[str, Any], kind: str) -> dict[str, Any]:
    """Find the properties of all resources of a kind, by logical id."""
    found = {name: each["Properties"] for name, each in stack["Resources"].items() if each["Type"] == kind}
    assert found, kind
    return found


def containers(stack: dict[str, Any]) -> dict[str, Any]:
    """Find the task's containers, by name."""
    (task,) = of_kind(stack, "AWS::ECS::TaskDefinition").values()
    assert task["NetworkMode"] == "host"
    return {each["Name"]: each for each in task["ContainerDefinitions"]}


def policies(stack: dict[str, Any], service: str) -> dict[str, dict[str, Any]]:
    """Find the alarms of a service (`Spot`, `OnDemand`) and the scaling that each starts, by how their names begin."""
    alarms = of_kind(stack, "AWS::CloudWatch::Alarm")
    found = {}
    for name, alarm in alarms.items():
        if name.startswith(service):
            (action,) = alarm["AlarmActions"]
            policy = of_kind(stack, "AWS::ApplicationAutoScaling::ScalingPolicy")[action["Ref"]]
            found[name.removeprefix(f"{service}Scaling")[:4]] = {**policy["StepScalingPolicyConfiguration"], **alarm}
    return found


def test_a_stage_without_executors_has_no_such_stack() -> None:
    """Executors elsewhere need nothing of it."""
    dev: Assembly = assembly("dev", THIS_MACHINE)
    assert not [name for name in dev.templates if "executors" in name]


def test_nothing_can_connect_to_an_instance(stack: dict[str, Any]) -> None:
    """Not to ComfyUI either, which listens for its own instance only."""
    for group in of_kind(stack, "AWS::EC2::SecurityGroup").values():
        assert "SecurityGroupIngress" not in group
    assert not [each for each in stack["Resources"].values() if each["Type"] == "AWS::EC2::SecurityGroupIngress"]
    assert containers(stack)["comfyui"]["Command"][:2] == ["--listen", "127.0.0.1"]
    assert not [each for each in containers(stack).values() if each.get("PortMappings")]


def test_a_task_has_a_gpu_its_models_and_time_to_stop(stack: dict[str, Any]) -> None:
    """The executor is stopped before ComfyUI, and within the two minutes of a spot instance that is taken back."""
    comfyui, executor = containers(stack)["comfyui"], containers(stack)["executor"]
    assert comfyui["ResourceRequirements"] == [{"Type": "GPU", "Value": "1"}]
    assert comfyui["MountPoints"] == [{"ContainerPath": "/models", "ReadOnly": True, "SourceVolume": "models"}]
    assert executor["DependsOn"] == [{"ContainerName": "comfyui", "Condition": "START"}]
    told = {each["Name"]: each["Value"] for each in executor["Environment"]}
    assert float(told["SHUTDOWN_GRACE_SECONDS"]) + 10 < executor["StopTimeout"] < 120
    assert comfyui["HealthCheck"]
    assert executor["HealthCheck"]["Command"] == ["CMD", "python", "-m", "executor.health"]
    assert told["HEALTH_FILE"]
    assert told["COMFYUI_TIMEOUT_MS"] == "1000"  # a setting of the stage


def test_instances_are_spot_ones_and_on_demand_ones_beside_them(stack: dict[str, Any]) -> None:
    """Each kind with a capacity provider and a service of its own, none of them to begin with."""
    shares = []
    for group in of_kind(stack, "AWS::AutoScaling::AutoScalingGroup").values():
        policy = group["MixedInstancesPolicy"]
        assert [each["InstanceType"] for each in policy["LaunchTemplate"]["Overrides"]] == ["g6.xlarge", "g5.xlarge"]
        assert (group["MinSize"], group["MaxSize"], group["NewInstancesProtectedFromScaleIn"]) == ("0", "3", True)
        shares.append(policy["InstancesDistribution"]["OnDemandPercentageAboveBaseCapacity"])
    assert sorted(shares) == [0, 100]
    for provider in of_kind(stack, "AWS::ECS::CapacityProvider").values():
        settings = provider["AutoScalingGroupProvider"]
        assert settings["ManagedScaling"]["Status"] == settings["ManagedTerminationProtection"] == "ENABLED"
    assert len(of_kind(stack, "AWS::ECS::Service")) == 2
    assert not [service for service in of_kind(stack, "AWS::ECS::Service").values() if "DesiredCount" in service]


def test_instances_drain_when_they_are_taken_back_and_keep_to_themselves(stack: dict[str, Any]) -> None:
    """Disks are encrypted, credentials take a token, the models are mounted before the first task."""
    for template in of_kind(stack, "AWS::EC2::LaunchTemplate").values():
        data = template["LaunchTemplateData"]
        assert data["MetadataOptions"]["HttpTokens"] == "required"
        assert data["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True
        script = json.dumps(data["UserData"])
        assert "ECS_ENABLE_SPOT_INSTANCE_DRAINING=true" in script
        assert "ECS_ENABLE_TASK_IAM_ROLE_NETWORK_HOST=true" in script
        assert "mount-s3 --read-only" in script


def test_a_task_may_protect_itself_and_do_what_executors_do(stack: dict[str, Any]) -> None:
    """Its role has the policy that executors elsewhere have, and the right to ask ECS for protection."""
    (task,) = of_kind(stack, "AWS::ECS::TaskDefinition").values()
    role = task["TaskRoleArn"]["Fn::GetAtt"][0]
    assert "ExecutorPolicy" in json.dumps(of_kind(stack, "AWS::IAM::Role")[role]["ManagedPolicyArns"])
    own = [policy for policy in of_kind(stack, "AWS::IAM::Policy").values() if {"Ref": role} in policy["Roles"]]
    actions = [action for policy in own for each in policy["PolicyDocument"]["Statement"] for action in each["Action"]]
    assert sorted(actions) == ["ecs:GetTaskProtection", "ecs:UpdateTaskProtection"]


def test_spot_tasks_follow_the_backlog_from_none_to_all(stack: dict[str, Any]) -> None:
    """One for a single job, one more for each five, three at most; none after a while without jobs."""
    follow, end = policies(stack, "Spot")["Want"], policies(stack, "Spot")["Idle"]
    assert follow["AdjustmentType"] == end["AdjustmentType"] == "ExactCapacity"
    assert [step_for(follow, wanted) for wanted in (1, 2, 3)] == [1, 2, 3]
    assert [step["ScalingAdjustment"] for step in end["StepAdjustments"]] == [0]
    assert (follow["EvaluationPeriods"], end["EvaluationPeriods"]) == (1, 15)
    expression = json.dumps(follow["Metrics"])
    assert "/ 5)" in expression
    assert expression.count("ApproximateNumberOfMessagesVisible") == 3
    assert expression.count("ApproximateNumberOfMessagesNotVisible") == 3


def test_on_demand_tasks_come_when_spot_ones_do_not(stack: dict[str, Any]) -> None:
    """One more at a time, for as long as executors are missing."""
    more = policies(stack, "OnDemand")["Miss"]
    assert more["AdjustmentType"] == "ChangeInCapacity"
    assert step_for(more, 1) == 1
    assert more["EvaluationPeriods"] == 10
    assert "ExecutorsHealthy" in json.dumps(more["Metrics"])
    assert policies(stack, "OnDemand")["Idle"]["AdjustmentType"] == "ExactCapacity"


def step_for(policy: dict[str, Any], metric: float) -> int:
    """Tell what a policy does at a value of its alarm's metric. The threshold is zero."""
    assert policy["Threshold"] == 0
    (step,) = (
        step
        for step in policy["StepAdjustments"]
        if step.get("MetricIntervalLowerBound", 0) <= metric < step.get("MetricIntervalUpperBound", metric + 1)
    )
    return int(step["ScalingAdjustment"])
