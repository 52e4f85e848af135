"""The module form of the command line: ``python -m pymemos``."""

from __future__ import annotations

from pymemos.surfaces.cli import main

if __name__ == "__main__":
    main(prog_name="pymemos")
