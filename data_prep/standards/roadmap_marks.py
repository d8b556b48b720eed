"""Histone marks around genes as DeepChrome counts them (Singh et al., 2016; Roadmap Epigenomics)."""

MARKS = ("H3K27me3", "H3K36me3", "H3K4me1", "H3K4me3", "H3K9me3")
NUM_BINS = 100  # of 100 bp each, around the start site
