"""A receiver of ComfyUI Gateway's webhooks, to copy: Python 3.11 or newer, nothing to install.

    WEBHOOK_SECRET=… python webhook_receiver.py        listens on port 8000 (PORT)

Behind a proxy that does TLS. What it does with a job's end is `handle`; the rest can stay as it is.
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

MAX_BODY_BYTES = 100_000  # webhooks have 20,000 at most
MAX_AGE_SECONDS = 5 * 60
KEPT_IDS = 100_000  # an id can come back for as long as it is retried: keep them in your database instead

secret = os.environ["WEBHOOK_SECRET"]
key = base64.b64decode(secret[len("whsec_") :]) if secret.startswith("whsec_") else secret.encode()
seen_ids: dict[str, None] = {}
ids_in_work: set[str] = set()
lock = threading.Lock()  # of both


def handle(event: dict) -> None:
    """Do what is to be done, quickly: the answer is waited for no longer than 10 seconds."""
    print(event["event"], event["jobId"], flush=True)
    for output in (event["result"] or {}).get("outputs", []):
        print("  ", output["filename"], output["downloadUrl"], flush=True)


def is_signed(headers: Message, body: bytes) -> bool:
    """Check the signature over id, time and the body as it came, and that it is not an old one."""
    webhook_id, sent_at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not sent_at.isdecimal() or abs(time.time() - int(sent_at)) > MAX_AGE_SECONDS:
        return False
    digest = hmac.new(key, f"{webhook_id}.{sent_at}.".encode() + body, hashlib.sha256).digest()
    expected = b"v1," + base64.b64encode(digest)
    # While the secret is replaced there are two, with a space between.
    return any(
        hmac.compare_digest(signature.encode(), expected)
        for signature in headers.get("webhook-signature", "").split(" ")
    )


def take(webhook_id: str, body: bytes) -> int:
    """Handle each webhook once; return the status to answer with."""
    with lock:
        if webhook_id in seen_ids:
            return 204
        if webhook_id in ids_in_work:
            return 503  # it came again before it was done with: should that fail, it has to come once more
        ids_in_work.add(webhook_id)
    try:
        handle(json.loads(body))
    except Exception:
        traceback.print_exc()
        return 500  # the id is not remembered, and the webhook comes again
    else:
        with lock:
            seen_ids[webhook_id] = None
            if len(seen_ids) > KEPT_IDS:
                del seen_ids[next(iter(seen_ids))]
        return 204
    finally:
        with lock:
            ids_in_work.discard(webhook_id)


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 for what is taken, and for what was taken before."""

    timeout = 15  # seconds, of one connection

    def do_POST(self) -> None:
        """Take a webhook."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            self.answer(413)
            return
        body = self.rfile.read(int(length))
        if not is_signed(self.headers, body):
            self.answer(401)
            return
        self.answer(take(self.headers["webhook-id"], body))

    def answer(self, status: int) -> None:
        """Send an answer without a body."""
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


if __name__ == "__main__":
    server = ThreadingHTTPServer(("", int(os.environ.get("PORT", "8000"))), Receiver)
    print("listening on port", server.server_port, flush=True)
    server.serve_forever()
