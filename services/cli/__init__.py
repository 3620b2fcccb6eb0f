"""The `chapar` command. It depends on the contracts and the chassis, never on the inside of a service."""
