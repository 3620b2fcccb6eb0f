"""Router: assigns interactions to agents, holds the agents' sessions, and explains its decisions. See docs/architecture.md."""
