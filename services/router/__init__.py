"""Router: decides who gets what, holds the agents' sessions, answers why. See docs/architecture.md."""
