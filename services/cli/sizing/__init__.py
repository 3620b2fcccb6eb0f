"""How large an installation must be for a load: measured costs in, processes and brokers out. No I/O in the model."""
