"""Applications of others' making in their usual shape, to measure limen against.

Each runs in an environment of its own (benchmarks/environment.py), so nothing here imports limen or
the rest of the benchmarks. PEER_HASH chooses how passwords are hashed:

    equal    Argon2id, 19 MiB, two passes, one lane: as limen does
    own      what the library does when it is told nothing
"""
