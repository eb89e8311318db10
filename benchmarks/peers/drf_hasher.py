"""Argon2id at limen's cost, for drf.py: Django imports hashers by name."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class EqualHasher(Argon2PasswordHasher):
    memory_cost, time_cost, parallelism = 19456, 2, 1
