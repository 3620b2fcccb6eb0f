"""`chapar replay`: run the journaled batches through the live processor again, and compare every effect by hash.

The journal has one record for each batch: owner, clock, offsets of its commands, SHA-256 of its effects. A replay reads the same commands, passes
them in the same batches with the same clock to the same `ShardProcessor` (by the lane's own `BatchRunner`), and compares. Its rules:

1. Folding begins from a known state: the journal's first record, or a state file. Otherwise nothing is compared (`NotComparable`).
2. Where the journal names another owner, the live shard was restored from its changelog and taken over. The replay does the same, from the
   changelog that it has written itself: so a restore that loses something is found.
3. Records that never reached the processor (skipped by an operator, or with too large effects) are known from the dead letters.
4. The first difference ends a shard's replay: later differences would only be its consequences.

    window    the meaning of --from and --to
    state     a shard between two batches, and the file that keeps it
    log       what a replay reads (Kafka: `kafka_log`)
    fold      runs one batch again
    difference  finds the effect that differs, and shows both sides of it
    run       replays one shard from start to end
"""
