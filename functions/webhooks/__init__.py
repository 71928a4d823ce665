"""Webhooks: payload, signing, address checks, and the HTTP client that sends them."""
