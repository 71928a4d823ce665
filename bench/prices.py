"""AWS list prices for us-east-1, without free tier and discounts: the base of all costs.

As of November 2026, from the price page of each service; other regions and times differ. Dollars.
"""

from __future__ import annotations

REGION, AS_OF = "us-east-1", "November 2026"

# For a million of each, or a million GB-seconds and GB.
PER_MILLION = {
    "API Gateway request": 3.50,  # REST API, the first 333 million a month
    "Lambda call": 0.20,
    "Lambda GB-second": 13.3334,  # arm64
    "DynamoDB write unit": 0.625,  # on demand: an item of up to 1 KB
    "DynamoDB read unit": 0.125,  # on demand: 4 KB, or 8 KB if eventually consistent
    "SQS request": 0.40,  # standard queue, 64 KB
    "SQS request with a group": 0.10,  # surcharge for fair queues; here for receiving and deleting as well
    "S3 write": 5.00,  # PUT, COPY, POST, LIST
    "S3 read": 0.40,
    "EventBridge event": 1.00,  # 64 KB
    "CloudWatch Logs GB": 500_000.0,
    "X-Ray trace": 5.00,
}

PER_MONTH = {
    "CloudWatch alarm": 0.10,  # per metric
    "CloudWatch dashboard": 3.00,
    "CloudWatch metric": 0.30,
    "KMS key": 1.00,
    "secret": 0.40,
}

# The permanent free tier per account and month.
ALWAYS_FREE = {
    "CloudWatch alarm": 10,
    "CloudWatch dashboard": 3,
    "CloudWatch metric": 10,
    "SQS request": 1_000_000,
    "Lambda call": 1_000_000,
    "Lambda GB-second": 400_000,
}
