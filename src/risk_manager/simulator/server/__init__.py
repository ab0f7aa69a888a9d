"""The simulated gateway on real sockets: REST and both SignalR hubs."""
