#!/usr/bin/env python3
"""make_mauve.py OUT - three pairs of sets of features and their MAUVE by the package mauve-text.

Line 1: rows of a set, dimensions. Then "reference", and "same", "overlapping" and "disjoint" with the mean and the
standard deviation of MAUVE against the reference over 200 seeds of k-means; below each, its rows in thousandths.
Used with mauve-text 0.4.0 and faiss 1.15; not run by the build or by make check. SPDX-License-Identifier: Apache-2.0
"""
import sys

import mauve
import numpy

rows, d, groups = 150, 8, 24
random = numpy.random.RandomState(7)
centers = random.randn(groups, d) * 1.5
weights = random.dirichlet(numpy.ones(groups) * 2)


def draw(some):
    chosen = random.choice(some, size=rows, p=weights[some] / weights[some].sum())
    return numpy.round(1000 * (centers[chosen] + 0.6 * random.randn(rows, d))).astype(int)


everything = numpy.arange(groups)
reference = draw(everything)
sets = {"same": draw(everything), "overlapping": draw(numpy.arange(6, groups)), "disjoint": 4000 - draw(everything)}
with open(sys.argv[1], "w") as out:
    print(rows, d, "reference", file=out)
    for row in reference:
        print(*row, file=out)
    for name, features in sets.items():
        p, q = (numpy.float32(x / 1000) for x in (reference, features))
        values = [mauve.compute_mauve(p_features=p, q_features=q, seed=25 + i).mauve for i in range(200)]
        print(name, "%.5f %.5f" % (numpy.mean(values), numpy.std(values)), file=out)
        for row in features:
            print(*row, file=out)
