"""Find the best support vector machine for handwritten digits, on a hub and four engines.

The data are scikit-learn's digits: 1,797 images of 8 x 8 pixels. Every setting of the grid is one
task, a cross-validation; the hub gives each to whichever engine is free. About a minute on two
cores.

    python examples/digits_search.py            the search
    python examples/digits_search.py --check    then once more without ctrl-hub, to compare
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from sklearn.datasets import load_digits
from sklearn.model_selection import ParameterGrid, StratifiedKFold, cross_val_score
from sklearn.svm import SVC
from tqdm import tqdm

from ctrlhub import Cluster

GRID = [
    {"kernel": ["rbf"], "C": [0.3, 1, 3, 10, 30, 100], "gamma": [0.01, 0.03, 0.1, 0.2, 0.4, 0.8]},
    {"kernel": ["poly"], "degree": [2, 3, 4], "C": [0.1, 1, 10, 100], "gamma": [0.01, 0.03, 0.1]},
]
FOLDS = 10


def evaluate(setting: dict[str, Any]) -> tuple[float, float]:
    """Return the accuracy of a setting, and the CPU seconds that it took to find out.

    `images` and `labels` are looked up where this runs: on an engine they were pushed there.
    """
    began = time.process_time()
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    scores = cross_val_score(SVC(**setting), images, labels, cv=folds)  # noqa: F821
    return float(scores.mean()), time.process_time() - began


def search(settings: list[dict[str, Any]], data: dict[str, Any], n: int) -> list[float]:
    """Evaluate all settings on a cluster of `n` engines; return their accuracies."""
    with Cluster(n=n) as client:
        print(f"{len(settings)} settings, {FOLDS} folds each, on engines {client.ids}")
        began = time.perf_counter()
        client[:].push(data, block=True)
        results = client.load_balanced_view().map_async(evaluate, settings)
        results.wait_interactive()
        scores, seconds = zip(*results.get(), strict=True)
        took = time.perf_counter() - began

    best = max(range(len(settings)), key=scores.__getitem__)
    print(f"best setting: {SVC(**settings[best])}")
    print(f"accuracy:     {scores[best]:.4f}")
    print(
        f"speed-up:     {sum(seconds) / took:.2f} "
        f"({sum(seconds):.1f} CPU seconds of tasks in {took:.1f} s)"
    )
    return list(scores)


def check(settings: list[dict[str, Any]], data: dict[str, Any], scores: list[float]) -> bool:
    """Do the same here, one setting after the other; say whether the accuracies are the same."""
    globals().update(data)
    began = time.perf_counter()
    expected = [evaluate(setting)[0] for setting in tqdm(settings, desc="check")]
    print(f"check:        one after the other it takes {time.perf_counter() - began:.1f} s")
    different = [
        s for s, here, there in zip(settings, expected, scores, strict=True) if here != there
    ]
    for setting in different:
        print(f"check:        another accuracy for {SVC(**setting)}")
    if not different:
        print(f"check:        the same best setting, and the same {len(scores)} accuracies")
    return not different


def main() -> int:
    """Run the search, and the check if asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("-n", type=int, default=4, metavar="N", help="how many engines (4)")
    parser.add_argument(
        "--check", action="store_true", help="compare with a search without engines"
    )
    arguments = parser.parse_args()

    digits = load_digits()
    data = {"images": digits.data / 16, "labels": digits.target}
    settings = list(ParameterGrid(GRID))
    scores = search(settings, data, arguments.n)
    if arguments.check and not check(settings, data, scores):
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
