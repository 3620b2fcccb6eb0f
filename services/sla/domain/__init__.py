"""SLA targets, business time, and the outcome of deadlines. Pure: no I/O, no clock, no protobuf, no logging."""
