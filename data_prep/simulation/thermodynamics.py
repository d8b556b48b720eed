"""A thermodynamic model of promoter activity: what the simulated assay measures.

Sites are bound by their energy, in competition with overlapping sites and with nucleosomes, which runs of
A and general regulatory factors keep away. A bound factor moves the log-odds of expression by its
strength times how well it acts at that distance from the start; the logistic curve saturates at both ends of
the scale. The form follows Segal et al. (Nature 2008) and de Boer et al. (Nature Biotechnology 2020), much
simplified.
"""

from collections.abc import Callable

import numpy as np

from competition.data.tokens import BASES, reverse_complement
from data_prep.simulation.yeast_factors import CLEARING, FACTORS, Factor

# Processors differ in the last digits of exp, log and sums. Whatever a simulation computes is rounded before
# it is written, sorted or drawn from, so that all of them build the same bytes.
DECIMALS = 6

TOP_BIN = 17.0  # expression is a mean sorting bin, 0..17
BASE_LOG_ODDS = -1.2  # of a promoter without sites
CONCENTRATION = 30.0  # weight of a perfect site against an empty one
MISMATCH = 2.5  # energy in kT of a wrong base where one base is wanted; less where several would do
NUCLEOSOME = 4.0  # weight of a nucleosome against bare DNA
POLY_A = 6  # bases of A (or of T) in a row that stiffen DNA (Segal & Widom, 2009)
POLY_A_EFFECT = 0.8
NEIGHBOURHOOD = 25  # bp over which poly-A and regulatory factors keep nucleosomes away
BLOCK_ROWS = 1_024


def _rise(distance: np.ndarray, middle: float, width: float) -> np.ndarray:
    return 1 / (1 + np.exp((middle - distance) / width))


def _bump(distance: np.ndarray, middle: float, width: float) -> np.ndarray:
    return np.exp(-(((distance - middle) / width) ** 2))


# How well a factor acts at a distance in bp between the middle of its site and the end of the insert, where
# transcription starts. An activator close to the start is in the way of the polymerase and represses.
REACHES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "upstream": lambda d: _rise(d, 32, 4) - 0.35 * _rise(-d, -20, 3),
    "far": lambda d: _rise(d, 46, 5),
    "core": lambda d: 1.2 * _bump(d, 32, 10) - 0.2,
    "near": lambda d: 0.2 + _rise(-d, -36, 5),
}


def expression(tokens: np.ndarray, start: int, stop: int, *, everywhere_alike: bool = False) -> np.ndarray:
    """Return the noiseless expression (N,) float64 of constructs (N, L) whose insert is [start, stop).

    everywhere_alike gives every factor its mean reach whatever the distance: what a model that is
    blind to positions would predict.
    """
    parts = [
        _log_odds(tokens[i : i + BLOCK_ROWS], start, stop, everywhere_alike)
        for i in range(0, len(tokens), BLOCK_ROWS)
    ]
    levels: np.ndarray = TOP_BIN / (1 + np.exp(-np.concatenate(parts)))
    return levels.round(DECIMALS)


def _log_odds(tokens: np.ndarray, start: int, stop: int, everywhere_alike: bool) -> np.ndarray:
    width = tokens.shape[1]
    sites = {factor.name: site_weights(tokens, factor) for factor in FACTORS}  # (N, 2, P)
    crowd = np.zeros(tokens.shape)  # weight of all sites that cover a base
    for factor in FACTORS:
        crowd += _cover(sites[factor.name].sum(1), len(factor.consensus), width)
    poly_a = _poly_a(tokens)
    cleared = poly_a + sum(
        _cover(sites[factor.name].sum(1) / CONCENTRATION, len(factor.consensus), width)
        for factor in FACTORS
        if factor.name in CLEARING
    )
    nucleosome = NUCLEOSOME / (1 + 4 * _spread(cleared))
    inside = slice(start, stop)
    total = BASE_LOG_ODDS + POLY_A_EFFECT * np.minimum(1, poly_a[:, inside].mean(1) * 8)
    for factor in FACTORS:
        length = len(factor.consensus)
        rival = _highest(crowd + nucleosome, length)  # (N, P)
        occupancy = sites[factor.name] / (1 + rival[:, None])
        if factor.oriented:
            occupancy = occupancy * np.array([1.0, 0.25])[:, None]
        distance = stop - (np.arange(width - length + 1) + length / 2)
        reach = REACHES[factor.reach](distance) * (distance > 0) * (distance < stop - start)
        if everywhere_alike:
            reach = np.full_like(reach, reach[(distance > 0) & (distance < stop - start)].mean())
        total = total + factor.effect * (occupancy.sum(1) * reach).sum(1)
    return np.asarray(total)


def energies(factor: Factor) -> np.ndarray:
    """Return the energy (K, 16) in kT that each token costs at each base of a factor's site."""
    table = np.full((len(factor.consensus), 16), MISMATCH)
    for position, letter in enumerate(factor.consensus):
        allowed = BASES[letter]
        table[position] = MISMATCH * (1 - (len(allowed) - 1) / 3)
        table[position, ["ACGT".index(base) for base in allowed]] = 0
    return table


def site_weights(tokens: np.ndarray, factor: Factor) -> np.ndarray:
    """Return the Boltzmann weights (N, 2, P) of a factor's sites by strand and first base."""
    cost = energies(factor)
    flipped = np.ascontiguousarray(reverse_complement(tokens))
    strands = [_scan(tokens, cost), _scan(flipped, cost)[:, ::-1]]
    return np.asarray(CONCENTRATION * np.exp(-np.stack(strands, axis=1)))


def _scan(tokens: np.ndarray, cost: np.ndarray) -> np.ndarray:
    positions = tokens.shape[1] - len(cost) + 1
    total = np.zeros((len(tokens), positions))
    for offset, column in enumerate(cost):
        total += column[tokens[:, offset : offset + positions]]
    return total


def _cover(weights: np.ndarray, length: int, width: int) -> np.ndarray:
    """Add up at each base (N, L) the weights (N, P) of the sites of a length that cover it."""
    ends = np.zeros((len(weights), width + 1))
    ends[:, : weights.shape[1]] += weights
    ends[:, length : length + weights.shape[1]] -= weights
    return np.asarray(ends.cumsum(1)[:, :width].clip(min=0))


def _highest(values: np.ndarray, length: int) -> np.ndarray:
    return np.asarray(np.lib.stride_tricks.sliding_window_view(values, length, axis=1).max(2))


def _poly_a(tokens: np.ndarray) -> np.ndarray:
    """Mark (N, L) the bases in a run of at least POLY_A times A, or times T."""
    marked = np.zeros(tokens.shape)
    for base in (0, 3):
        run = np.lib.stride_tricks.sliding_window_view(tokens == base, POLY_A, axis=1).all(2)
        marked = np.maximum(marked, _cover(run.astype(float), POLY_A, tokens.shape[1]) > 0)
    return marked


def _spread(values: np.ndarray) -> np.ndarray:
    """Average (N, L) over the neighbourhood of each base."""
    padded = np.pad(values.cumsum(1), ((0, 0), (NEIGHBOURHOOD, NEIGHBOURHOOD)), mode="edge")
    padded[:, :NEIGHBOURHOOD] = 0
    sums = padded[:, 2 * NEIGHBOURHOOD :] - padded[:, : values.shape[1]]
    return np.asarray(sums / (2 * NEIGHBOURHOOD))
