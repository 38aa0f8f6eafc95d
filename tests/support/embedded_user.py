"""A process that uses the embedded server until its standard input ends.

`python embedded_user.py DATA_DIR [leave|drop]`: prints the DSN when the server answers. `drop`
ends without giving the server back.
"""

from __future__ import annotations

import sys
from pathlib import Path

from flowbuilder.executor import embedded


def main() -> None:
    server = embedded.start(Path(sys.argv[1]))
    print(server.dsn, flush=True)
    sys.stdin.read()
    if "drop" not in sys.argv[2:]:
        server.stop()


if __name__ == "__main__":
    main()
