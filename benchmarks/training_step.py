"""The whole training step beside PyTorch's: `minigrad bench`, from a checkout.

    python benchmarks/training_step.py --size tiny,small,base --threads 2

The exit status is 1 when two contenders do not compute the same.
"""

from __future__ import annotations

import argparse
import sys

from minitransformer.bench.compare import SIZES, main

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The whole training step beside PyTorch's.")
    parser.add_argument("--size", default=",".join(SIZES), help="any of %(default)s")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7, help="turns that each contender gets")
    parser.add_argument("--coretype", default="", help="OpenBLAS kernels to use, such as Haswell")
    parser.add_argument("--json", help="file to append the results to")
    options = parser.parse_args()
    sizes = options.size.split(",")
    try:
        sys.exit(main(sizes, options.threads, options.rounds, options.coretype, options.json))
    except ValueError as error:
        parser.error(str(error))
