"""BLAKE2b for digests and checks.

``hashlib`` gives the same function, and loads OpenSSL on the way: 3 MiB of a client without torch.
"""

from __future__ import annotations

try:
    from _blake2 import blake2b  # of the standard library, under a name that is not public
except ImportError:
    from hashlib import blake2b

__all__ = ["blake2b"]
