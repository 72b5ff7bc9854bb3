"""Carrying out: signed deliveries to endpoints, notifications, and actions at the broker's manager backend."""
