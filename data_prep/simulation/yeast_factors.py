"""Yeast transcription factors of the simulated assay: what each binds, and what it does there.

The consensus sequences are those in general use (Harbison et al., Nature 2004; MacIsaac et al., BMC
Bioinformatics 2006; the Saccharomyces Genome Database), in IUPAC letters. Roles follow what is known of each
factor; strengths, reaches and shares are the simulation's own.
"""

from typing import NamedTuple


class Factor(NamedTuple):
    """A factor, its site and its effect."""

    name: str
    consensus: str
    effect: float  # on the log-odds of expression when bound in its best place; negative represses
    reach: str  # where it acts, see REACHES in thermodynamics.py
    share: float  # how often its site is planted, relative to the others; a few factors dominate, as in cells
    oriented: bool = False  # acts at a quarter of its strength from the other strand


FACTORS = (
    Factor("Reb1", "TTACCCG", 3.0, "upstream", 300, oriented=True),
    Factor("Rap1", "ACACCCRYACAYM", 3.4, "upstream", 60),
    Factor("Abf1", "RTCRYNNNNNACG", 3.0, "upstream", 30),
    Factor("Gcn4", "TGACTCA", 3.2, "upstream", 300),
    Factor("Gal4", "CGGNNNNNNNNNNNCCG", 3.6, "far", 15),
    Factor("Cbf1", "RTCACRTG", 2.8, "upstream", 60),
    Factor("TATA box", "TATAWAWR", 3.0, "core", 300),
    Factor("Ume6", "TAGCCGCCSA", -3.2, "near", 250),
    Factor("Rox1", "YYYATTGTT", -2.8, "near", 30),
    Factor("Rpn4", "GGTGGCAAA", 2.6, "upstream", 15),
    Factor("Hsf1", "TTCNNGAANNTTC", 3.0, "far", 4),
    Factor("Mcm1", "CCYWWWNNRG", 2.2, "upstream", 3),
    Factor("Pho4", "CACGTGK", 2.4, "far", 3),
    Factor("Hap4", "CCAATNA", 2.2, "far", 3, oriented=True),
    Factor("Msn2", "MAGGGG", 1.8, "upstream", 3),
    Factor("Ste12", "TGAAACA", 2.0, "upstream", 2),
    Factor("Swi4", "CRCGAAA", 2.0, "upstream", 2),
    Factor("Mbp1", "ACGCGT", 2.0, "upstream", 2),
    Factor("Yap1", "TKACTAA", 2.2, "upstream", 2),
    Factor("Fkh2", "GTAAACAA", 1.8, "far", 2),
    Factor("Gcr1", "RGCTTCCWC", 2.4, "upstream", 2, oriented=True),
    Factor("Ino4", "CATGTGAAAT", 2.4, "far", 2),
    Factor("Leu3", "CCGGNNCCGG", 2.2, "upstream", 2),
    Factor("Zap1", "ACCTTNAAGGT", 2.4, "upstream", 2),
    Factor("Crz1", "GNGGCKCA", 1.8, "upstream", 2),
    Factor("Hac1", "CAGCGTG", 2.0, "upstream", 2),
    Factor("Pdr3", "TCCGYGGA", 2.4, "far", 2),
    Factor("Tbf1", "ARCCCTAA", 2.2, "upstream", 2),
    Factor("Mig1", "SYGGGG", -1.8, "near", 2),
    Factor("Nrg1", "GGACCCT", -2.2, "near", 2),
    Factor("Sum1", "GYGWCASWAAW", -2.4, "near", 2),
    Factor("Tod6", "GCGATGAG", -2.4, "near", 2),
    Factor("Xbp1", "CTCGARG", -2.0, "near", 2),
)

# General regulatory factors clear nucleosomes from their neighbourhood (Yarragudi et al., 2004).
CLEARING = ("Reb1", "Rap1", "Abf1", "Cbf1", "Tbf1")
