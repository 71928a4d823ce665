"""The executor stack: two containers per instance, scaled by the number of jobs, without open ports."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.infra.assembly import Assembly, assembly

pytestmark = pytest.mark.timeout(300)  # the first test may have to synthesize

MODELS_READ_ONLY = [{"ContainerPath": "/models", "ReadOnly": True, "SourceVolume": "models"}]


@pytest.fixture(scope="module")
def stack() -> dict[str, Any]:
    """Synthesize a stage with at most three executors, and a copy of the models on EFS."""
    return assembly("everything").template("executors")


@pytest.fixture(scope="module")
def stack_on_s3() -> dict[str, Any]:
    """Synthesize a stage whose instances mount the models bucket."""
    return assembly("models-on-s3").template("executors")


def of_kind(stack: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return the properties of all resources of a type, by logical id."""
    found = {name: each["Properties"] for name, each in stack["Resources"].items() if each["Type"] == kind}
    assert found, kind
    return found


def containers(stack: dict[str, Any]) -> dict[str, Any]:
    """Return the containers of the task by name."""
    (task,) = of_kind(stack, "AWS::ECS::TaskDefinition").values()
    assert task["NetworkMode"] == "host"
    return {each["Name"]: each for each in task["ContainerDefinitions"]}


def policies(stack: dict[str, Any], service: str) -> dict[str, dict[str, Any]]:
    """Return alarms with scaling policies of a service (`Spot`, `OnDemand`), by the first letters of their names."""
    alarms = of_kind(stack, "AWS::CloudWatch::Alarm")
    found = {}
    for name, alarm in alarms.items():
        if name.startswith(service):
            (action,) = alarm["AlarmActions"]
            policy = of_kind(stack, "AWS::ApplicationAutoScaling::ScalingPolicy")[action["Ref"]]
            found[name.removeprefix(f"{service}Scaling")[:4]] = {**policy["StepScalingPolicyConfiguration"], **alarm}
    return found


def test_a_stage_without_executors_has_no_such_stack() -> None:
    """Executors outside AWS do not need it."""
    dev: Assembly = assembly("dev")
    assert not [name for name in dev.templates if "executors" in name]


def group_of_instances(stack: dict[str, Any]) -> str:
    """Return the security group of all instances."""
    templates = of_kind(stack, "AWS::EC2::LaunchTemplate").values()
    cards = [card for template in templates for card in template["LaunchTemplateData"]["NetworkInterfaces"]]
    (group,) = {group["Fn::GetAtt"][0] for card in cards for group in card["Groups"]}
    return str(group)


def test_nothing_can_connect_to_an_instance(stack: dict[str, Any]) -> None:
    """Nor to ComfyUI, which listens on the loopback interface."""
    for group in of_kind(stack, "AWS::EC2::SecurityGroup").values():
        assert "SecurityGroupIngress" not in group
    entered = [each["GroupId"]["Fn::GetAtt"][0] for each in of_kind(stack, "AWS::EC2::SecurityGroupIngress").values()]
    assert group_of_instances(stack) not in entered
    assert containers(stack)["comfyui"]["Command"][:2] == ["--listen", "127.0.0.1"]
    assert not [each for each in containers(stack).values() if each.get("PortMappings")]


def test_a_task_has_a_gpu_its_models_and_time_to_stop(stack: dict[str, Any]) -> None:
    """The executor stops before ComfyUI, and within the two minutes of a spot interruption."""
    comfyui, executor = containers(stack)["comfyui"], containers(stack)["executor"]
    assert comfyui["ResourceRequirements"] == [{"Type": "GPU", "Value": "1"}]
    assert comfyui["MountPoints"] == MODELS_READ_ONLY
    assert executor["DependsOn"] == [{"ContainerName": "comfyui", "Condition": "START"}]
    allowed = {each["Name"]: each["Value"] for each in executor["Environment"]}
    assert float(allowed["SHUTDOWN_GRACE_SECONDS"]) + 10 < executor["StopTimeout"] < 120
    assert comfyui["HealthCheck"]
    assert executor["HealthCheck"]["Command"] == ["CMD", "python", "-m", "executor.liveness"]
    assert allowed["HEALTH_FILE"]
    assert allowed["COMFYUI_TIMEOUT_MS"] == "1000"  # a setting of the stage


def test_there_are_spot_and_on_demand_instances(stack: dict[str, Any]) -> None:
    """Each with its own capacity provider and service, and none at the start."""
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
    assert {service["DesiredCount"] for service in of_kind(stack, "AWS::ECS::Service").values()} == {0}


def test_services_come_after_the_providers_are_the_clusters(stack: dict[str, Any]) -> None:
    """ECS rejects a service without its provider, and the removal of a provider in use."""
    (association,) = of_kind(stack, "AWS::ECS::ClusterCapacityProviderAssociations")
    services = [each for each in stack["Resources"].values() if each["Type"] == "AWS::ECS::Service"]
    assert len(services) == 2
    assert all(association in service["DependsOn"] for service in services)


def test_an_instance_that_cannot_join_shuts_down(stack: dict[str, Any]) -> None:
    """It is protected from scale-in until ECS, which does not know it, lifts the protection."""
    for template in of_kind(stack, "AWS::EC2::LaunchTemplate").values():
        data = template["LaunchTemplateData"]
        assert "trap 'shutdown -h now' ERR" in json.dumps(data["UserData"])
        assert data["InstanceInitiatedShutdownBehavior"] == "terminate"


def test_a_late_metric_keeps_its_last_value(stack: dict[str, Any]) -> None:
    """Filled with zero, its newest minute would always be zero, and no executor would start."""
    for policy in (policies(stack, "Spot")["Want"], policies(stack, "OnDemand")["Miss"]):
        for each in policy["Metrics"]:
            fills = each.get("Expression", "").count("FILL(")
            assert each.get("Expression", "").count(", REPEAT), 0)") * 2 == fills


def test_instances_drain_and_are_hardened(stack: dict[str, Any]) -> None:
    """They drain before a spot interruption, encrypt disks, and require IMDSv2."""
    for template in of_kind(stack, "AWS::EC2::LaunchTemplate").values():
        data = template["LaunchTemplateData"]
        assert data["MetadataOptions"]["HttpTokens"] == "required"
        assert data["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True
        script = json.dumps(data["UserData"])
        assert "ECS_ENABLE_SPOT_INSTANCE_DRAINING=true" in script
        assert "ECS_ENABLE_TASK_IAM_ROLE_NETWORK_HOST=true" in script


def test_a_task_may_protect_itself_and_do_what_executors_do(stack: dict[str, Any], stack_on_s3: dict[str, Any]) -> None:
    """Its role has the executor policy, and can protect the task and read models."""
    (task,) = of_kind(stack, "AWS::ECS::TaskDefinition").values()
    role = task["TaskRoleArn"]["Fn::GetAtt"][0]
    assert "ExecutorPolicy" in json.dumps(of_kind(stack, "AWS::IAM::Role")[role]["ManagedPolicyArns"])
    assert actions_of(stack_on_s3, role) == {"ecs:GetTaskProtection", "ecs:UpdateTaskProtection"}
    assert actions_of(stack, role) == {
        "ecs:GetTaskProtection", "ecs:UpdateTaskProtection", "elasticfilesystem:ClientMount",
    }  # fmt: skip


def actions_of(stack: dict[str, Any], role: str) -> set[str]:
    """Return the actions of a role's inline policies."""
    own = [policy for policy in of_kind(stack, "AWS::IAM::Policy").values() if {"Ref": role} in policy["Roles"]]
    actions = [each["Action"] for policy in own for each in policy["PolicyDocument"]["Statement"]]
    return {action for each in actions for action in (each if isinstance(each, list) else [each])}


def test_instances_read_the_models_from_the_bucket(stack_on_s3: dict[str, Any]) -> None:
    """They mount it read-only before the first task, and can read no other bucket; there is no EFS."""
    for template in of_kind(stack_on_s3, "AWS::EC2::LaunchTemplate").values():
        assert "mount-s3 --read-only" in json.dumps(template["LaunchTemplateData"]["UserData"])
    (task,) = of_kind(stack_on_s3, "AWS::ECS::TaskDefinition").values()
    assert task["Volumes"] == [{"Name": "models", "Host": {"SourcePath": "/mnt/models"}}]
    assert containers(stack_on_s3)["comfyui"]["MountPoints"] == MODELS_READ_ONLY
    assert "s3:::models-of-example/*" in json.dumps(of_kind(stack_on_s3, "AWS::IAM::Policy"))
    assert not [each for each in stack_on_s3["Resources"].values() if "AWS::EFS::" in each["Type"]]


def test_a_copy_of_the_models_is_mounted_by_task_and_encrypted(stack: dict[str, Any]) -> None:
    """At rest and in transit. Instances mount nothing then, and have no access to the bucket."""
    ((files, file_system),) = of_kind(stack, "AWS::EFS::FileSystem").items()
    assert file_system["Encrypted"] is True
    assert {"TransitionToIA": "AFTER_30_DAYS"} in file_system["LifecyclePolicies"]
    (task,) = of_kind(stack, "AWS::ECS::TaskDefinition").values()
    (volume,) = task["Volumes"]
    assert volume["EFSVolumeConfiguration"] == {
        "FilesystemId": {"Ref": files}, "TransitEncryption": "ENABLED", "AuthorizationConfig": {"IAM": "ENABLED"},
    }  # fmt: skip
    for template in of_kind(stack, "AWS::EC2::LaunchTemplate").values():
        assert "mount-s3" not in json.dumps(template["LaunchTemplateData"]["UserData"])
    assert "s3:" not in json.dumps([p for n, p in of_kind(stack, "AWS::IAM::Policy").items() if "Instances" in n])


def test_only_instances_reach_the_copy_of_the_models(stack: dict[str, Any]) -> None:
    """NFS from their security group, over TLS, with the role of the task to read or of DataSync to write."""
    ((files, file_system),) = of_kind(stack, "AWS::EFS::FileSystem").items()
    (entry,) = of_kind(stack, "AWS::EC2::SecurityGroupIngress").values()
    assert (entry["IpProtocol"], entry["FromPort"], entry["ToPort"]) == ("tcp", 2049, 2049)
    assert entry["SourceSecurityGroupId"]["Fn::GetAtt"][0] == group_of_instances(stack)
    for target in of_kind(stack, "AWS::EFS::MountTarget").values():
        assert target["SecurityGroups"] == [entry["GroupId"]]
    (statement,) = file_system["FileSystemPolicy"]["Statement"]  # it allows nothing, so that roles must
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    allowed = {
        tuple(each["Action"]) if isinstance(each["Action"], list) else (each["Action"],)
        for policy in of_kind(stack, "AWS::IAM::Policy").values()
        for each in policy["PolicyDocument"]["Statement"]
        if each["Resource"] == {"Fn::GetAtt": [files, "Arn"]}
    }
    client = "elasticfilesystem:Client"
    assert allowed == {(f"{client}Mount",), (f"{client}Mount", f"{client}RootAccess", f"{client}Write")}


def test_the_copy_of_the_models_is_filled_from_their_bucket(stack: dict[str, Any]) -> None:
    """By a task that also removes deleted files; the stack outputs its ARN."""
    ((name, task),) = of_kind(stack, "AWS::DataSync::Task").items()
    assert task["Options"]["PreserveDeletedFiles"] == "REMOVE"
    ((source, bucket),) = of_kind(stack, "AWS::DataSync::LocationS3").items()
    assert task["SourceLocationArn"]["Fn::GetAtt"][0] == source
    assert "models-of-example" in json.dumps(bucket["S3BucketArn"])
    ((to, copy),) = of_kind(stack, "AWS::DataSync::LocationEFS").items()
    assert task["DestinationLocationArn"]["Fn::GetAtt"][0] == to
    assert copy["InTransitEncryption"] == "TLS1_2"
    assert stack["Outputs"]["ModelsTaskArn"]["Value"] == {"Fn::GetAtt": [name, "TaskArn"]}


def test_spot_tasks_follow_the_backlog_from_none_to_all(stack: dict[str, Any]) -> None:
    """One task per five jobs, at most three; none after a time without jobs."""
    follow, end = policies(stack, "Spot")["Want"], policies(stack, "Spot")["Idle"]
    assert follow["AdjustmentType"] == end["AdjustmentType"] == "ExactCapacity"
    assert [step_for(follow, wanted) for wanted in (1, 2, 3)] == [1, 2, 3]
    assert [step["ScalingAdjustment"] for step in end["StepAdjustments"]] == [0]
    assert (follow["EvaluationPeriods"], end["EvaluationPeriods"]) == (1, 15)
    expression = json.dumps(follow["Metrics"])
    assert "/ 5)" in expression
    assert expression.count("ApproximateNumberOfMessagesVisible") == 3
    assert expression.count("ApproximateNumberOfMessagesNotVisible") == 3


def test_on_demand_tasks_start_when_spot_tasks_do_not(stack: dict[str, Any]) -> None:
    """One at a time, while executors are missing."""
    more = policies(stack, "OnDemand")["Miss"]
    assert more["AdjustmentType"] == "ChangeInCapacity"
    assert step_for(more, 1) == 1
    assert more["EvaluationPeriods"] == 10
    assert "ExecutorsHealthy" in json.dumps(more["Metrics"])
    assert policies(stack, "OnDemand")["Idle"]["AdjustmentType"] == "ExactCapacity"


def step_for(policy: dict[str, Any], metric: float) -> int:
    """Return the adjustment of a policy at a value of its alarm's metric. The threshold is zero."""
    assert policy["Threshold"] == 0
    (step,) = (
        step
        for step in policy["StepAdjustments"]
        if step.get("MetricIntervalLowerBound", 0) <= metric < step.get("MetricIntervalUpperBound", metric + 1)
    )
    return int(step["ScalingAdjustment"])
