"""What the operator sees: log lines, metrics, and one line for each request.

Everything here listens: features emit events and know of no listener, and nothing here decides.
"""
