"""What `import limen.client` needs."""

import subprocess
import sys


def test_without_the_file_locks_of_posix_only_the_file_store_is_missing() -> None:
    script = (
        "import sys; sys.modules['fcntl'] = None\n"
        "from limen.client import LimenAuth, MemoryStore\n"
        "LimenAuth('https://limen.test', store=MemoryStore())\n"
        "try: from limen.client import FileStore\n"
        "except ImportError as error: print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )

    assert "FileStore needs the file locks of POSIX" in run.stdout
    assert "MemoryStore" in run.stdout
