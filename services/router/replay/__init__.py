"""`chapar replay`: the journaled batches through the live processor once more, and every effect compared by hash.

The journal has one record per batch: owner, clock, offsets of its commands, SHA-256 of its effects. A replay reads the same commands, hands them in
the same batches with the same clock to the same `ShardProcessor` (by the lane's own `BatchRunner`), and compares. Its rules:

1. Folding begins from a known state: the journal's first record, or a state file. Otherwise nothing is compared (`NotComparable`).
2. Where the journal names another owner, the live shard was restored from its changelog and taken over. So is the replayed one, from the changelog
   that the replay itself has written: a restore that loses something shows.
3. Records that never reached the processor (skipped by an operator, or too large in what they caused) are known from the dead letters.
4. The first difference ends a shard's replay: what follows would only be its consequences.

    window    what --from and --to say
    state     a shard between two batches, and the file that keeps it
    log       what a replay reads (Kafka: `kafka_log`)
    fold      one batch again
    difference  which effect differs, and both sides of it
    run       one shard from start to end
"""
