"""The faults by kind: processes, broker, network, providers, records, load, clocks, disk."""
