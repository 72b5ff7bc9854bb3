"""The only place that knows a source: its protocol, its clock, its units and its quirks."""
