"""What a page under docs/ says of how it was made."""

import subprocess


def commit() -> str:
    """Short hash of the commit; "unknown" outside a repository."""
    words = ["git", "rev-parse", "--short", "HEAD"]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"
