"""The event-driven webhook and automation hub for MetaTrader 4/5 brokers and prop firms."""

__version__ = "0.1.0"
