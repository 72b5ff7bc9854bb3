"""An attempt as the API shows it: the outcome, and everything there is on record about it."""

from typing import Any

from hub.clock import iso
from hub.dispatch.attempt_record import Record, Seen, answer_headers, read, request_headers
from hub.dispatch.outbox import Attempt, Delivery


def attempt_json(attempt: Attempt, delivery: Delivery) -> dict[str, Any]:
    """Return its JSON; what was not recorded, because it is of before or did not come so far, is null."""
    record = read(attempt.record)
    seen = (record.seen if record else None) or Seen()
    return {
        "number": attempt.number,
        "at": iso(attempt.at),
        "outcome": attempt.outcome,
        "status": attempt.status,
        "error": attempt.error,
        "latency_ms": attempt.latency_us / 1000,
        "response": attempt.response,
        "next_attempt_at": None if attempt.next_at is None else iso(attempt.next_at),
        "remote_address": seen.address or None,
        "tls": seen.tls or None,
        "connection": _connection(seen),
        "timings_us": {
            "dns": seen.dns_us,
            "connect": seen.connect_us,
            "tls": seen.tls_us,
            "first_byte": seen.first_byte_us,
            "total": attempt.latency_us,
        },
        "signed_by": list(record.asked.signed_by) if record else [],
        "request": _request(record, attempt, delivery) if record else None,
        "response_headers": [list(pair) for pair in answer_headers(seen)],
        "response_headers_left_out": seen.left_out,
    }


def _connection(seen: Seen) -> str | None:
    if seen.reused:
        return "kept"
    return None if seen.connect_us is None else "new"


def _request(record: Record, attempt: Attempt, delivery: Delivery) -> dict[str, Any]:
    headers = request_headers(record, delivery.event_id, attempt.at)
    return {
        "method": record.asked.method,
        "host": record.asked.host,
        "headers": [list(pair) for pair in headers],
        "body_bytes": record.size,
    }
