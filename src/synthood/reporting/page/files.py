"""The page's own files, their digest, and text packed into an argument of a command."""

import base64
import hashlib
import zlib
from pathlib import Path

ASSETS = Path(__file__).with_name("assets")


def asset(name: str) -> str:
    """One of the page's own files."""
    return (ASSETS / name).read_text(encoding="utf-8")


def digest_of_assets() -> str:
    """Twelve hex digits that change with the template, the style and the scripts."""
    contents = [path.read_bytes() for path in sorted(ASSETS.iterdir())]
    return hashlib.sha256(b"\0".join(contents)).hexdigest()[:12]


def packed(text: str) -> str:
    """Text, shorter and without any letter that a shell minds."""
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def unpacked(text: str) -> str:
    """What `packed` packed; empty for nothing."""
    return zlib.decompress(base64.b64decode(text)).decode() if text else ""
