"""The ProjectX Gateway (TopstepX): REST, SignalR hubs, wire types, call budget."""
