"""PyJWT, which up to 2.15 knows the algorithm Ed25519 (RFC 9864) only as "EdDSA"."""

import jwt
from jwt.algorithms import OKPAlgorithm

if "Ed25519" not in jwt.PyJWS().get_algorithms():
    jwt.register_algorithm("Ed25519", OKPAlgorithm())

__all__ = ["jwt"]
