"""The verifier of a service elsewhere, which follows a running limen over HTTP."""

import os

from limen.verify.issuer import Issuer
from limen.verify.verifier import Verifier

NAMED = "http://localhost:8000"  # LIMEN_PUBLIC_URL, as it is unless somebody sets it

verifier = Verifier(NAMED, "limen", keys=Issuer(NAMED, at=os.environ["BENCH_ISSUER"]))
