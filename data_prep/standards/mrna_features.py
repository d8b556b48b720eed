"""The features that Xpresso takes for mRNA half-life (Agarwal and Shendure, Cell Reports 2020)."""

FEATURES = (
    "UTR5LEN", "CDSLEN", "INTRONLEN", "UTR3LEN", "UTR5GC", "CDSGC", "UTR3GC", "ORFEXONDENSITY"
)  # fmt: skip
