"""Check access tokens and obey revocations: the light part of limen, with no database in it."""
