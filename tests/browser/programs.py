"""The programs that the browser tests need, and what cannot be tried without them."""

import shutil

NODE, CHROMIUM = ("node", "nodejs"), ("chromium", "chromium-browser", "google-chrome")
NEEDED_BY = {
    "test_node.py": NODE,
    "test_chromium.py": CHROMIUM,
    "test_example.py": CHROMIUM,
    "test_account.py": CHROMIUM,
}


def program(*names: str) -> str:
    """Return where the first of these is."""
    for name in names:
        if found := shutil.which(name):
            return found
    raise AssertionError(f"{names[0]} is not installed: run tests/browser/install")


def missing() -> dict[str, str]:
    """Return the tests that cannot be run here, each with the program that it lacks."""
    return {
        test: names[0] for test, names in NEEDED_BY.items() if not any(map(shutil.which, names))
    }
