"""The ports on DynamoDB, SQS, S3 and EventBridge."""
