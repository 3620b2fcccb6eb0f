"""What-if simulation: the live engine on a virtual clock, with customers and agents drawn from a scenario. See docs/simulation.md."""
