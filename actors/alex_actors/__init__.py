"""The actors of Alex Runtime, their messages, what runs them, the store and the agents."""
