"""The inputs of Xpresso: promoter and mRNA half-life features (Agarwal and Shendure, Cell Reports 2020)."""

FEATURES = (
    "UTR5LEN", "CDSLEN", "INTRONLEN", "UTR3LEN", "UTR5GC", "CDSGC", "UTR3GC", "ORFEXONDENSITY"
)  # fmt: skip
LENGTH = 20_000  # bases of a promoter, the start site in their middle
