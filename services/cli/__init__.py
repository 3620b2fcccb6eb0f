"""The `chapar` command. It knows the contracts and the chassis, never the inside of a service."""
