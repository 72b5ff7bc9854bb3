"""A simulated broker behind the real gateways' protocols, for demonstrations and for tests that count effects.

It stands beside the hub as a peer: it shares no code with ingest, engine or dispatch, and talks to them over sockets only.
"""

from hub.sim.broker import Broker
from hub.sim.faults import Faults, Odds
from hub.sim.ledger import Effect, Ledger
from hub.sim.model import Account, Command, Fact, FactKind, Platform, Reason, Refused, Trade
from hub.sim.serve import Options, Simulator

__all__ = [
    "Account",
    "Broker",
    "Command",
    "Effect",
    "Fact",
    "FactKind",
    "Faults",
    "Ledger",
    "Odds",
    "Options",
    "Platform",
    "Reason",
    "Refused",
    "Simulator",
    "Trade",
]
