"""The simulated gateway on real sockets: REST and both SignalR hubs."""

from risk_manager.simulator.server.limits import Window
from risk_manager.simulator.server.server import SimServer
from risk_manager.simulator.server.settings import SimSettings

__all__ = ["SimServer", "SimSettings", "Window"]
