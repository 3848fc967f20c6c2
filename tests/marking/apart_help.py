"""Children for the tests of `marking.apart`: what they are given, and what stops them."""

from __future__ import annotations

import json
import os

from marking.apart import limited


def main() -> None:
    """Do what the file says."""

    def work(data: bytes, more: str) -> str:
        if data == b"memory":
            bytearray(8 << 30)
        while data == b"loop":
            pass
        if data == b"write":
            with open(more, "w") as file:
                file.write("x" * 100)
        return json.dumps({"environment": sorted(os.environ), "more": more, "size": len(data)})

    limited(work)
