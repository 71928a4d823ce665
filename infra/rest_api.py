"""The REST API on API Gateway: its resources and methods are the routes of functions.routing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_wafv2 as waf
from constructs import Construct

from functions.routing import DEFAULT_FUNCTION, routes_by_path
from gateway.aws.resources import REQUEST_SECONDS
from infra.function import make_log_group
from infra.nag_suppressions import acknowledge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_cdk import aws_lambda as lambda_

    from infra.stage import Domain, Stage

# Responses of API Gateway itself, with the API's error body. Type: status (None: unchanged), code, message, retryable.
_GATEWAY_RESPONSES: dict[str, tuple[str | None, str, str, bool]] = {
    "THROTTLED": ("429", "RATE_LIMITED", "Too many requests. Try again in a few seconds.", True),
    "QUOTA_EXCEEDED": ("429", "RATE_LIMITED", "Too many requests. Try again in a few seconds.", True),
    "WAF_FILTERED": ("429", "RATE_LIMITED", "Too many requests from this address. Try again in five minutes.", True),
    "REQUEST_TOO_LARGE": ("413", "PAYLOAD_TOO_LARGE", "The request body is too large.", False),
    "INTEGRATION_TIMEOUT": (None, "INTERNAL_ERROR", "The request took too long.", True),
    "MISSING_AUTHENTICATION_TOKEN": ("404", "NOT_FOUND", "Unknown path.", False),
    "DEFAULT_4XX": (None, "VALIDATION_ERROR", "The request is not valid HTTP.", False),
    "DEFAULT_5XX": (None, "INTERNAL_ERROR", "An internal error occurred.", True),
}
# One line per request, with IP addresses and without keys.
_ACCESS_LOG = {
    "requestId": "$context.requestId",
    "ip": "$context.identity.sourceIp",
    "method": "$context.httpMethod",
    "path": "$context.path",
    "status": "$context.status",
    "bytes": "$context.responseLength",
    "ms": "$context.responseLatency",
    "functionMs": "$context.integration.latency",
    "error": "$context.error.responseType",
}


class RestApi(Construct):
    """The API. `functions`: by name, as in functions.routing. `url`: the root of its paths."""

    def __init__(
        self, scope: Construct, name: str, *, stage: Stage, functions: Mapping[str, lambda_.IFunction]
    ) -> None:
        super().__init__(scope, name)
        self._stage = stage
        self._integrations = {
            name: apigateway.LambdaIntegration(
                function,
                timeout=cdk.Duration.seconds(REQUEST_SECONDS),
                scope_permission_to_method=False,  # one permission for the whole API instead of one per method
            )
            for name, function in functions.items()
        }
        self.access_log = make_log_group(self, "AccessLog", stage)
        self.api = apigateway.RestApi(
            self,
            "Api",
            rest_api_name=f"ComfyUI Gateway {stage.name}",
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            binary_media_types=["*/*"],  # without it, files would be returned as base64
            cloud_watch_role=True,  # of the account, for access logs; it remains when the stack is deleted
            disable_execute_api_endpoint=stage.domain is not None,
            deploy_options=apigateway.StageOptions(
                stage_name=stage.name,
                tracing_enabled=True,
                throttling_rate_limit=stage.throttle.requests_per_second,
                throttling_burst_limit=stage.throttle.burst,
                access_log_destination=apigateway.LogGroupLogDestination(self.access_log),
                access_log_format=apigateway.AccessLogFormat.custom(json.dumps(_ACCESS_LOG, separators=(",", ":"))),
            ),
        )
        self.api.node.try_remove_child("Endpoint")  # the stack has its own output for it
        self._acknowledge_rules()
        self._add_routes()
        self._add_gateway_responses()
        self.stage = self.api.deployment_stage
        self.url = self.api.url
        if stage.domain is not None:
            self.url = self._add_domain(stage.domain)
        if stage.waf_requests_per_address is not None:
            self._add_waf(stage.waf_requests_per_address)

    def _add_routes(self) -> None:
        """Add a resource per path.

        Its methods are ANY: the function responds to the others, 405 or a preflight's 204. A path without a resource
        is served through `/{proxy+}`.
        """
        for path, (first, *others) in routes_by_path().items():
            resource = self.api.root.resource_for_path(path)
            resource.add_method("ANY", self._integrations[first.function])
            for route in others:
                if route.function != first.function:
                    resource.add_method(route.method, self._integrations[route.function])
        self.api.root.add_method("ANY", self._integrations[DEFAULT_FUNCTION])
        self.api.root.add_resource("{proxy+}").add_method("ANY", self._integrations[DEFAULT_FUNCTION])

    def _add_gateway_responses(self) -> None:
        # With several origins, the header depends on the request, which API Gateway cannot read here.
        origins = self._stage.settings.get("CORS_ORIGINS", "")
        cors = {"Access-Control-Allow-Origin": f"'{origins}'"} if origins and "," not in origins else {}
        for response_type, (status, code, message, retryable) in _GATEWAY_RESPONSES.items():
            body = {
                "error": code,
                "message": message,
                "details": {"errors": [{"path": "", "message": message}]} if code == "VALIDATION_ERROR" else None,
                "retryable": retryable,
                "correlationId": "$context.requestId",
            }
            headers = {"X-Correlation-Id": "context.requestId", **cors}
            if status == "429":
                headers["Retry-After"] = "'5'"
            self.api.add_gateway_response(
                response_type,
                type=apigateway.ResponseType.of(response_type),
                status_code=status,
                response_headers=headers,
                templates={"application/json": json.dumps(body, separators=(",", ":"))},
            )

    def _add_domain(self, domain: Domain) -> str:
        domain_name = self.api.add_domain_name(
            "Domain",
            domain_name=domain.name,
            certificate=acm.Certificate.from_certificate_arn(self, "Certificate", domain.certificate_arn),
            endpoint_type=apigateway.EndpointType.REGIONAL,
            security_policy=apigateway.SecurityPolicy.TLS_1_2,
        )
        target = domain_name.domain_name_alias_domain_name
        stack = cdk.Stack.of(self)
        cdk.CfnOutput(stack, "DomainTarget", value=target, description="Target of the DNS record of the domain.")
        return f"https://{domain.name}/"

    def _add_waf(self, requests_per_address: int) -> None:
        def visible(metric: str) -> waf.CfnWebACL.VisibilityConfigProperty:
            return waf.CfnWebACL.VisibilityConfigProperty(
                cloud_watch_metrics_enabled=True, metric_name=metric, sampled_requests_enabled=False
            )

        by_address = waf.CfnWebACL.RuleProperty(
            name="requests-per-address",
            priority=0,
            action=waf.CfnWebACL.RuleActionProperty(block={}),
            statement=waf.CfnWebACL.StatementProperty(
                rate_based_statement=waf.CfnWebACL.RateBasedStatementProperty(
                    aggregate_key_type="IP", limit=requests_per_address, evaluation_window_sec=300
                )
            ),
            visibility_config=visible("requests-per-address"),
        )
        acl = waf.CfnWebACL(
            self,
            "Waf",
            scope="REGIONAL",
            default_action=waf.CfnWebACL.DefaultActionProperty(allow={}),
            rules=[by_address],
            visibility_config=visible("api"),
        )
        waf.CfnWebACLAssociation(
            self, "WafOfApi", web_acl_arn=acl.attr_arn, resource_arn=self.api.deployment_stage.stage_arn
        )

    def _acknowledge_rules(self) -> None:
        for rule, reason in {
            "AwsSolutions-APIG2": "Each function validates its requests, and its response names every problem.",
            "AwsSolutions-APIG3": "WAF is an option of the stage, because it has a price.",
            "AwsSolutions-APIG4": "Functions check the API key or JWT: one invocation instead of two.",
            "AwsSolutions-APIG6": "Execution logs would contain keys and prompts. There is an access log.",
            "AwsSolutions-COG4": "Functions check the API key or JWT.",
            "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/"
            "AmazonAPIGatewayPushToCloudWatchLogs]": "The role is the account's, for access logs.",
        }.items():
            acknowledge(self.api, rule, reason)
