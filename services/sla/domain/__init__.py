"""What is promised, in whose time, and what became of it. Pure: no I/O, no clock, no protobuf, no logging."""
