"""`limen explain`: why a session ended, beside the server that it was a session of."""

import pytest

pytestmark = pytest.mark.anyio
