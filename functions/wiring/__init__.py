"""Composition roots of the Lambda functions."""
