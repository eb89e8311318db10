"""Try a protected address with hostile tokens, as an attacker would, but politely.

limen.verify.hostile   what to send
sending.py             sending it: one request, as raw as it must be
run.py                 the order of the requests, and what each answer means
"""
