"""`hub demo`: a simulated broker, the hub, a CRM that checks every signature, a mail receiver; and the reckoning."""

from hub.commands.demo.main import run_demo

__all__ = ["run_demo"]
