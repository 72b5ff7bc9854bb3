"""Kafka as the way into the hub of many processes: a transport, never the guard of money."""
