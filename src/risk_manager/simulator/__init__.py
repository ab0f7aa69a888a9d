"""A ProjectX Gateway of our own: matching engine, feeds, scripted traders, server."""
