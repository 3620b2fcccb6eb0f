"""The decisions of feedback: which customers are invited, which responses count, and what the scores are. Pure: no
I/O, no clock, no random ids."""
