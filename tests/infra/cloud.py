"""An embedded AWS with TLS and enforced IAM, into which the command `cdk` deploys stacks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import boto3
import requests
import trustme

from functions.routing import module_of
from local.child_process import Child, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.infra.assembly import Assembly

REGION, ACCOUNT = "us-east-1", "000000000000"
_ROOT = {"AWS_ACCESS_KEY_ID": "root", "AWS_SECRET_ACCESS_KEY": "root-secret"}
_CDK = Path(sys.prefix) / "cdk" / "node_modules" / ".bin" / "cdk"  # installed by `make test-deployment`
_START_SECONDS = 20.0


class Cloud:
    """The embedded AWS, prepared for CDK. A context manager: it is ready at the start of the block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        port = free_port()
        self.endpoint_url = f"https://127.0.0.1:{port}"
        self.calls_file = folder / "calls.jsonl"
        self.ca_file = folder / "ca.pem"
        self._write_certificate()
        self._child = Child(
            "guarded AWS",
            [sys.executable, "-m", "tests.infra.guarded_emulator"],
            environment={
                **_ROOT,
                "PATH": os.environ.get("PATH", os.defpath),
                "PYTHONPATH": os.pathsep.join(sys.path),
                "AUTH": "true",
                "USE_SSL": "1",
                "MINISTACK_SSL_CERT": str(folder / "cert.pem"),
                "MINISTACK_SSL_KEY": str(folder / "key.pem"),
                # Inherited by the functions.
                "AWS_CA_BUNDLE": str(self.ca_file),
                "BIND_HOST": "127.0.0.1",
                "GATEWAY_PORT": str(port),
                "LOG_LEVEL": "WARNING",
                "SFTP_ENABLED": "0",
                "IOT_MTLS_ENABLED": "0",
                "TMPDIR": str(folder),
                "DOCKER_HOST": "unix:///dev/null",
                "CALLS_FILE": str(self.calls_file),
            },
            log_file=folder / "aws.log",
        )

    def __enter__(self) -> Self:
        """Wait until it is ready. Raises ChildFailedError."""
        self._child.wait_until(self._is_ready, seconds=_START_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._child.stop(seconds=10)

    def environment(self, access_key: Mapping[str, str] = _ROOT) -> dict[str, str]:
        """Return the environment with which boto3 finds it, with the given credentials."""
        return {
            **access_key,
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_CA_BUNDLE": str(self.ca_file),
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str, access_key: Mapping[str, str] = _ROOT) -> Any:  # noqa: ANN401  any of boto3's
        """Return a client, with root credentials by default."""
        return boto3.client(
            service,  # type: ignore[call-overload]  # any
            region_name=REGION,
            endpoint_url=self.endpoint_url,
            verify=str(self.ca_file),
            aws_access_key_id=access_key["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=access_key["AWS_SECRET_ACCESS_KEY"],
        )

    def calls(self) -> list[dict[str, Any]]:
        """Return every IAM decision so far: caller, action, resource, item keys, allowed."""
        return [json.loads(line) for line in self.calls_file.read_text().splitlines()]

    def deploy(self, assembly: Assembly) -> Deployed:
        """Deploy all stacks of a stage. Raises AssertionError with the output of the command if it fails."""
        folder = self._folder / assembly.stage
        shutil.copytree(assembly.folder, folder)
        for file in folder.glob("*.template.json"):
            template = json.loads(file.read_text())
            known = {name: each for name, each in template["Resources"].items() if not _unknown_here(each)}
            file.write_text(json.dumps({**template, "Resources": known}))
        self.cdk("bootstrap", f"aws://{ACCOUNT}/{REGION}")
        self.cdk("deploy", "--all", "--app", str(folder), "--require-approval", "never")
        stacks = self.client("cloudformation").describe_stacks()["Stacks"]
        outputs = [output for stack in stacks for output in stack.get("Outputs", ())]
        return Deployed(self, folder, {output["OutputKey"]: output["OutputValue"] for output in outputs})

    def cdk(self, *arguments: str) -> str:
        """Run the command as root and return its output. Raises AssertionError with the output if it fails."""
        run = subprocess.run(  # noqa: S603  ours
            [_CDK, *arguments, "--no-notices"],
            env={
                **self.environment(),
                "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
                "NODE_EXTRA_CA_CERTS": str(self.ca_file),
                "HOME": str(self._folder),  # for its cache
            },
            cwd=self._folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stdout
        return run.stdout

    def _is_ready(self) -> bool:
        try:
            return requests.get(f"{self.endpoint_url}/_ministack/health", verify=str(self.ca_file), timeout=1).ok
        except requests.RequestException:
            return False

    def _write_certificate(self) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.ca_file))
        certificate = authority.issue_cert("127.0.0.1", "localhost")
        certificate.private_key_pem.write_to_path(str(self._folder / "key.pem"))
        for pem in certificate.cert_chain_pems:
            pem.write_to_path(str(self._folder / "cert.pem"), append=True)


def _unknown_here(resource: Mapping[str, Any]) -> bool:
    """Return whether the embedded AWS lacks a resource type. All others are deployed as synthesized."""
    is_computed_alarm = resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"]
    return is_computed_alarm or resource["Type"] in ("AWS::Logs::QueryDefinition", "AWS::XRay::SamplingRule")


class Deployed:
    """The deployed stacks of a stage. `outputs`: of all stacks."""

    def __init__(self, cloud: Cloud, assembly: Path, outputs: Mapping[str, str]) -> None:
        self.cloud = cloud
        self.outputs = outputs
        self._assembly = assembly

    def differences(self) -> str:
        """Return the output of `cdk diff`."""
        return self.cloud.cdk("diff", "--all", "--app", str(self._assembly))

    def destroy(self) -> None:
        """Destroy all stacks. Raises AssertionError with the output of the command if it fails."""
        self.cloud.cdk("destroy", "--all", "--app", str(self._assembly), "--force")

    @cached_property
    def api_url(self) -> str:
        """The root of the API's paths. The host in the stack's output exists on AWS only."""
        api_id = self.outputs["Url"].removeprefix("https://").split(".")[0]
        return f"{self.cloud.endpoint_url}/restapis/{api_id}/{self._assembly.name}/_user_request_"

    @cached_property
    def settings(self) -> dict[str, str]:
        """The environment of the functions."""
        functions = self._lambda.list_functions()["Functions"]
        return dict(functions[0]["Environment"]["Variables"])

    def secret(self, setting: str) -> str:
        """Return a setting from the secret that the stack made for it."""
        client = self.cloud.client("secretsmanager")
        contents = [
            json.loads(client.get_secret_value(SecretId=each["ARN"])["SecretString"])
            for each in client.list_secrets()["SecretList"]
        ]
        (value,) = (content[setting] for content in contents if setting in content)
        return str(value)

    def invoke(self, function: str) -> dict[str, Any]:
        """Invoke a function as a schedule does, and wait for its result."""
        return dict(self._lambda.invoke(FunctionName=self._deployed_name(function), Payload=b"{}"))

    def configure(self, function: str, **variables: str) -> None:
        """Add variables to the environment of a function."""
        name = self._deployed_name(function)
        now = self._lambda.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        self._lambda.update_function_configuration(FunctionName=name, Environment={"Variables": {**now, **variables}})

    @cached_property
    def _lambda(self) -> Any:  # noqa: ANN401  boto3's
        return self.cloud.client("lambda")

    def _deployed_name(self, function: str) -> str:
        functions = self._lambda.list_functions()["Functions"]
        (name,) = (each["FunctionName"] for each in functions if each["Handler"] == f"{module_of(function)}.handler")
        return str(name)
