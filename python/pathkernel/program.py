"""The program `pathkernel`, as it was built with this package."""

import os
import pathlib
import sys


def main() -> None:
    program = pathlib.Path(__file__).parent / "bin" / "pathkernel"
    os.execv(program, [str(program), *sys.argv[1:]])


if __name__ == "__main__":
    main()
