"""A receiver of ComfyUI Gateway's webhooks, to copy. It needs Python 3.11 or newer, and no packages.

    WEBHOOK_SECRET=… python webhook_receiver.py        listens on port 8000 (PORT)

Run it behind a proxy that terminates TLS. Change `handle` to process a webhook; the rest can stay as it is.
"""

import base64
import hashlib
import hmac
import json
import os
import threading
import time
import traceback
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MAX_BODY_BYTES = 100_000  # the gateway sends at most 20,000
MAX_AGE_SECONDS = 5 * 60
MAX_STORED_IDS = 100_000  # a webhook can repeat for about a day: store the ids in your database instead

secret = os.environ["WEBHOOK_SECRET"]
key = base64.b64decode(secret[len("whsec_") :]) if secret.startswith("whsec_") else secret.encode()
seen_ids: dict[str, None] = {}
ids_in_progress: set[str] = set()
lock = threading.Lock()  # guards both


def handle(event: dict) -> None:
    """Process a webhook. Be quick: the gateway waits at most 10 seconds for the response."""
    print(event["event"], event["jobId"], flush=True)
    for output in (event["result"] or {}).get("outputs", []):
        print("  ", output["filename"], output["downloadUrl"], flush=True)


def is_signed(headers: Message, body: bytes) -> bool:
    """Verify the signature over id, timestamp and raw body, and that the timestamp is recent."""
    webhook_id, sent_at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not sent_at.isdecimal() or abs(time.time() - int(sent_at)) > MAX_AGE_SECONDS:
        return False
    digest = hmac.new(key, f"{webhook_id}.{sent_at}.".encode() + body, hashlib.sha256).digest()
    expected = b"v1," + base64.b64encode(digest)
    # During a rotation of the secret there are two signatures, separated by a space.
    return any(
        hmac.compare_digest(signature.encode(), expected)
        for signature in headers.get("webhook-signature", "").split(" ")
    )


def process(webhook_id: str, body: bytes) -> int:
    """Handle each webhook once. Return the status of the response."""
    with lock:
        if webhook_id in seen_ids:
            return 204
        if webhook_id in ids_in_progress:
            return 503  # a repeat while the first is in progress: if that fails, the webhook must be sent again
        ids_in_progress.add(webhook_id)
    try:
        handle(json.loads(body))
    except Exception:
        traceback.print_exc()
        return 500  # the id is not stored, so the webhook is retried
    else:
        with lock:
            seen_ids[webhook_id] = None
            if len(seen_ids) > MAX_STORED_IDS:
                del seen_ids[next(iter(seen_ids))]
        return 204
    finally:
        with lock:
            ids_in_progress.discard(webhook_id)


class Receiver(BaseHTTPRequestHandler):
    """Responds with 204 to new webhooks, and to those that it has already processed."""

    timeout = 15  # seconds per connection

    def do_POST(self) -> None:
        """Receive a webhook."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            self.respond(413)
            return
        body = self.rfile.read(int(length))
        if not is_signed(self.headers, body):
            self.respond(401)
            return
        self.respond(process(self.headers["webhook-id"], body))

    def respond(self, status: int) -> None:
        """Send a response without a body."""
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


if __name__ == "__main__":
    server = ThreadingHTTPServer(("", int(os.environ.get("PORT", "8000"))), Receiver)
    print("listening on port", server.server_port, flush=True)
    server.serve_forever()
