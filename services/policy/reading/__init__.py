"""The contract's configuration to typed policy. A reader reports each part that cannot be used to `Findings`."""
