"""A transactional client for lanes: own requests, sent through aiokafka's connections.

aiokafka keeps what it does well: TLS, SASL, metadata, reconnects, the encoding of record batches. Its own transactional
producer speaks only the first versions of the protocol, one producer a connection, and sleeps between transactions. Here
are the four requests of a transaction (`requests`), what an error of each means (`verdicts`), the record batches of one
transaction (`batches`), sending with retries (`cluster`), and one transactional id (`producer`).
"""
