"""The decisions of feedback: whom to ask, what counts as an answer, what the answers say. Pure: no I/O, no clock, no ids of its own making."""
