"""The benchmark of privacy: how long it takes until what somebody leaves behind is gone."""

from __future__ import annotations

from benchmarks import report
from benchmarks._erasing import erase_10k

MEASURES = {
    ("erase_10k_s",): erase_10k,
}


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    report.main("privacy", MEASURES, arguments)


if __name__ == "__main__":
    main()
